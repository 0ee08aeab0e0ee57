"""A benchmark run: every contestant in its own process, one step each in turn.

With processes of their own, they share no memory allocator. After an untimed warm-up step the contestants
alternate, step by step, so that other load on the machine meets all of them alike; the device is synchronized before
and after every step. The ratio of two contestants is the median over neighbouring steps. CPU seconds, those of all
threads together, are steadier on a busy machine. Memory is most precise in a run of one part.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from sam2nb.devices import pick_device, pick_dtype
from sam2nb.evaluation.benchmarks.machine import describe_machine
from sam2nb.evaluation.benchmarks.parts import find_part
from sam2nb.evaluation.benchmarks.process import Entry, Worker, entries, neighbours, start_workers
from sam2nb.evaluation.benchmarks.report import Benchmark, Timing
from sam2nb.evaluation.benchmarks.setting import Setting, Workload
from sam2nb.weights.registry import best_on_disk, find_checkpoint

REFERENCE = "sam2nb"  # the contestant that the others are compared with


def benchmark(
    model: str = "sam2.1_hiera_tiny",
    *,
    against: Sequence[str] = (),
    parts: Sequence[str] = ("encode", "click", "track1"),
    weights: str | None = "own",
    device: str = "cpu",
    dtype: str | None = None,
    image_size: int = 1024,
    compile: bool = False,
    threads: int | None = None,
    repeats: int = 5,
    busy: int = 0,
    workload: Workload | None = None,
    report: Callable[[str], None] = lambda line: None,
    save_to: str | Path | None = None,
) -> Benchmark:
    """Measure this package, and others side by side with it on the same weights.

    model: name of a checkpoint, or "auto". weights: "own" for its own (downloaded once), None for random ones of its
    size (equally fast), or a file. against: "official", "transformers", the folder of another checkout of sam2nb, or
    another way to compute, such as "bfloat16" or "openvino:int8" (`process.WAYS`).
    dtype: as for `load_model`, of all. busy: other processes that keep a core each busy meanwhile.
    parts: names of `benchmarks.parts`. repeats: timed steps after the warm-up; 0 measures memory only.
    report: called with every line of text. save_to: a JSON file, written after every part.

    Raises ValueError for unknown parts and contestants, and if a contestant cannot start.
    """
    contestants, _ = entries(against), [find_part(part) for part in parts]  # errors before anything is started
    name = (best_on_disk() if model == "auto" else find_checkpoint(model)).name
    precision = str(pick_dtype(dtype, pick_device(device))).removeprefix("torch.")
    common = {"workload": workload or Workload(), "busy": busy}
    setting = Setting(name, weights, device, precision, image_size, compile, threads, **common)
    result = new_record(setting, contestants)
    for part in _measured(result, contestants, parts, repeats):
        for line in result.lines(part):
            report(line)
        if save_to:
            result.save(save_to)
    return result


def _measured(result: Benchmark, contestants: Sequence[Entry], parts: Sequence[str], repeats: int) -> Iterator[str]:
    """Measure part after part, and add its timings to the record."""
    setting = result.setting
    with (
        tempfile.TemporaryDirectory() as folder,
        start_workers(contestants, setting, Path(folder)) as workers,
        neighbours(setting.busy),
    ):
        for part in parts:
            result.timings += take_turns(workers, part, repeats)
            yield part


def new_record(setting: Setting, contestants: Sequence[Entry]) -> Benchmark:
    """An empty record of this machine and this moment."""
    checkouts = {entry.label: entry.root for entry in contestants if entry.kind == REFERENCE}
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Benchmark(setting, describe_machine(setting.device, checkouts), now)


def take_turns(workers: Mapping[str, Worker], part: str, repeats: int) -> list[Timing]:
    """A warm-up round, then `repeats` rounds, in each of which every contestant takes one step."""
    timings = {label: Timing(label, part) for label in workers}
    masks: dict[str, str] = {}
    active = list(workers)
    for round_ in range(repeats + 1):
        for label in list(active):
            result = workers[label].ask({} if round_ else {"part": part, "repeats": repeats})
            if "problem" in result or "over" in result:
                timings[label].failed = result.get("problem")
                active.remove(label)
                continue
            _note(timings[label], result, timed=round_ > 0)
            if "masks" in result:
                masks[label] = result["masks"]
    for label in masks.keys() - {REFERENCE}:
        timings[label].agreement = _agreement(masks[label], masks.get(REFERENCE))
    return list(timings.values())


def _note(timing: Timing, result: dict[str, Any], timed: bool) -> None:
    if timed:
        timing.seconds.append(result["seconds"])
        timing.cpu_seconds.append(result["cpu_seconds"])
    timing.peak_mb, timing.peak_gpu_mb = result["peak_mb"], result["peak_gpu_mb"]
    timing.held_mb, timing.figures = result["held_mb"], result["figures"]


def _agreement(file: str, reference: str | None) -> float | None:
    """Share of equal pixels of two files of masks; None if they cannot be compared."""
    if reference is None:
        return None
    ours, theirs = np.load(reference), np.load(file)
    return float((ours == theirs).mean()) if ours.shape == theirs.shape else None
