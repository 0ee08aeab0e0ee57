"""Time and memory of a contestant, step by step, in its own process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2nb.evaluation.benchmarks.contestants import CONTESTANTS
from sam2nb.evaluation.benchmarks.parts import Step, Task, find_part
from sam2nb.evaluation.benchmarks.setting import Setting
from sam2nb.evaluation.memory import PeakMemory, memory_in_use

MIB = 2**20


def serve(orders: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Answer orders with results.

    The first order holds the arguments of `Bench`; its answer is {}. {"part": …, "repeats": …} prepares a part and
    takes its warm-up step, {} takes one more step; the answer is what `Bench.step` returns, {"over": True} if the part
    has no more steps, or {"problem": text} for an error, after which the next part may still work.
    """
    try:
        bench = Bench(**next(orders))
    except Exception as error:  # any error is the parent's to report
        yield {"problem": f"{type(error).__name__}: {error}"}
        return
    yield {}
    for order in orders:
        try:
            if order:
                bench.prepare(**order)
            yield bench.step()
        except StopIteration:
            yield {"over": True}
        except Exception as error:
            yield {"problem": f"{type(error).__name__}: {error}"}


class Bench:
    """A contestant, and the part that it is working on.

    contestant: a name of `CONTESTANTS`. setting: a `Setting` as a dict. weights: a checkpoint file, None for random
    weights. folder: for files of its own.
    """

    def __init__(self, contestant: str, setting: dict[str, Any], weights: str | None, folder: str) -> None:
        self.setting = Setting.from_record(setting)
        if self.setting.threads:
            torch.set_num_threads(self.setting.threads)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.contestant = CONTESTANTS[contestant](self.setting, weights and Path(weights))
        gc.collect()
        self.loaded = memory_in_use()
        self.calls, self.steps = 1, iter(())
        self.masks_file: Path | None = None  # written once, by the warm-up step
        self.peak = self.peak_gpu = self.prepared = 0

    def prepare(self, part: str, repeats: int) -> None:
        """Begin a part, up to its warm-up step."""
        kind, objects = find_part(part)
        self.calls, self.masks_file = kind.calls, self.folder / f"{part}.npy"
        self.steps = kind.start(self.contestant, Task(self.setting.workload, self.folder, repeats, objects))
        self.peak = self.peak_gpu = 0
        self._watched(lambda: next(self.steps))
        self.prepared = memory_in_use()

    def step(self) -> dict[str, Any]:
        """Take one step: seconds on the clock and of all threads together, memory in MiB, figures, a file of masks."""
        step, seconds, cpu_seconds = self._watched(lambda: self._timed(lambda: next(self.steps)))
        result = {
            "seconds": seconds / self.calls,
            "cpu_seconds": cpu_seconds / self.calls,
            "peak_mb": (self.peak - self.loaded) / MIB,
            "peak_gpu_mb": self.peak_gpu / MIB if self._on_gpu else None,
            "held_mb": (memory_in_use() - self.prepared) / MIB,
            "figures": dict(step.figures),
        }
        if step.masks is not None and self.masks_file:
            np.save(self.masks_file, _as_masks(step))
            result["masks"], self.masks_file = str(self.masks_file), None
        return result

    @property
    def _on_gpu(self) -> bool:
        return self.setting.device.startswith("cuda")

    def _watched(self, function: Callable[[], Any]) -> Any:
        """Call a function and note the highest memory use."""
        with ExitStack() as stack:
            memory = stack.enter_context(PeakMemory())
            gpu = stack.enter_context(PeakMemory(self.setting.device)) if self._on_gpu else None
            result = function()
        self.peak = max(self.peak, memory.highest)
        self.peak_gpu = max(self.peak_gpu, gpu.highest if gpu else 0)
        return result

    def _timed(self, function: Callable[[], Step | None]) -> tuple[Step | None, float, float]:
        self._synchronize()
        start, cpu_start = time.perf_counter(), time.process_time()
        result = function()
        self._synchronize()
        return result, time.perf_counter() - start, time.process_time() - cpu_start

    def _synchronize(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize(self.setting.device)


def _as_masks(step: Step) -> NDArray[np.bool_]:
    """Logits or booleans, (…, H, W) -> (N, H, W) bool"""
    masks = torch.as_tensor(step.masks) > 0
    return masks.flatten(0, -3).cpu().numpy()
