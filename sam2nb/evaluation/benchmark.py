"""How fast and how heavy: ours, and others on the same weights, in one process tree.

What is timed, each after one untimed warm-up, device synchronised before and after:

- encode: `set_image` of a photograph, from uint8 array to features
- click: one point to three masks at the photograph's size, mean of `CLICKS` calls on the same features
- everything: the automatic mask generator with a 16x16 grid
- track1, track4, track16: one frame of a clip with so many objects (prompted by boxes on frame 0), encoding included,
  once the memory is full (from frame `FULL_MEMORY` on); writing masks is not included

Every contestant lives in a process of its own, so that one's memory allocator does not help or hurt another's. They
take turns, part by part and repeat by repeat: what else the machine does meets all alike. The ratio of two is the
median of the ratios of neighbouring repeats. Next to the seconds on the clock stand those the process really computed,
all threads together: with one thread they are steadier on a busy machine. Peak memory is that of the process
over the loaded model (and of the GPU).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sam2nb.evaluation.contestants import CONTESTANTS, Contestant, Setting
from sam2nb.weights.checkpoint import video_refusal

PARTS = ("encode", "click", "everything", "track1", "track4", "track16")
CLICKS = 5
FULL_MEMORY = 7  # frames after the prompted one until six tracked memories are there
PHOTO_HW, CLIP_HW = (600, 800), (480, 854)
PACKAGES = {"sam2nb": "sam2nb", "official": "sam2", "transformers": "transformers"}


@dataclass
class Timing:
    """One contestant at one part. seconds and cpu_seconds: every repeat in order; failed: why there are none."""

    contestant: str
    part: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    peak_gpu_mb: float | None = None
    failed: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else float("nan")

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2


@dataclass
class Benchmark:
    """All of one run, with the conditions that make it readable later."""

    setting: Setting
    machine: dict[str, Any]
    created: str
    timings: list[Timing] = field(default_factory=list)

    def ratios(self, of: str = "seconds") -> dict[str, dict[str, float]]:
        """{part: {other contestant: how many times as long as sam2nb it took}}; of: "seconds" or "cpu_seconds" """
        by_key = {(t.contestant, t.part): getattr(t, of) for t in self.timings if t.seconds}
        ratios: dict[str, dict[str, float]] = {}
        for (name, part), theirs in by_key.items():
            ours = by_key.get(("sam2nb", part))
            if name != "sam2nb" and ours:
                pairs = zip(theirs, ours, strict=False)
                ratios.setdefault(part, {})[name] = statistics.median(a / b for a, b in pairs)
        return ratios

    def save(self, path: str | Path) -> Path:
        """One JSON per run."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        timings = [{**asdict(t), "median": t.median if t.seconds else None, "spread": t.spread} for t in self.timings]
        record = {**asdict(self), "timings": timings, "ratios": self.ratios(), "cpu_ratios": self.ratios("cpu_seconds")}
        path.write_text(json.dumps(record, indent=1) + "\n")
        return path


def load_benchmark(path: str | Path) -> Benchmark:
    """Read back what `Benchmark.save` wrote."""
    record = json.loads(Path(path).read_text())
    timings = [Timing(**{k: v for k, v in t.items() if k not in ("median", "spread")}) for t in record["timings"]]
    return Benchmark(Setting(**record["setting"]), record["machine"], record["created"], timings)


def benchmark(
    model: str = "sam2.1_hiera_tiny",
    *,
    against: Sequence[str] = (),
    parts: Sequence[str] = ("encode", "click", "track1"),
    weights: str | None = "own",
    device: str = "cpu",
    dtype: str = "auto",
    image_size: int = 1024,
    compile: bool = False,
    threads: int | None = None,
    repeats: int = 5,
    report: Callable[[str], None] = lambda line: None,
    save_to: str | Path | None = None,
) -> Benchmark:
    """Time this package, and others in turn with it.

    model: name of a checkpoint. against: "official", "transformers".
    weights: "own" loads (or downloads) the checkpoint, None takes random weights of its size (the speed is the same),
    or a file in official naming.
    report: called with a line of text whenever there is something to say.
    save_to: JSON that is written after every part, so that an interrupted run keeps what it has.

    Raises ValueError for unknown parts and contestants, and when a checkpoint cannot do what is asked.
    """
    contestants = ("sam2nb", *(name for name in against if name != "sam2nb"))
    _check(parts, PARTS, "parts")
    _check(contestants, tuple(CONTESTANTS), "against")
    setting = Setting(model, weights, device, dtype, image_size, compile, threads)
    result = Benchmark(setting, describe_machine(device), datetime.now(timezone.utc).isoformat(timespec="seconds"))
    with tempfile.TemporaryDirectory() as folder, _workers(contestants, setting, folder) as workers:
        for part in parts:
            result.timings += _take_turns(workers, part, repeats)
            for line in _lines(result, part):
                report(line)
            if save_to:
                result.save(save_to)
    return result


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """What a reader of the numbers needs to know of this machine and its software."""
    import psutil

    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") and torch.cuda.is_available() else None
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load_before": [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "packages": {name: _version(package) for name, package in PACKAGES.items()},
    }


def photo(seed: int = 0) -> NDArray[np.uint8]:
    """A picture to time with: soft random blobs, (600, 800, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(PHOTO_HW[::-1], Image.BICUBIC))


def write_clip(folder: Path, frames: int) -> Path:
    """A clip to time with: the same blobs, drifting."""
    folder.mkdir(parents=True, exist_ok=True)
    wide = Image.fromarray(photo()).resize((CLIP_HW[1] + 8 * frames, CLIP_HW[0]))
    for i in range(frames):
        wide.crop((8 * i, 0, 8 * i + CLIP_HW[1], CLIP_HW[0])).save(folder / f"{i:05}.jpg", quality=90)
    return folder


def _take_turns(workers: dict[str, Connection], part: str, repeats: int) -> list[Timing]:
    """Warm-up, then `repeats` rounds in which every contestant runs once."""
    timings = {name: Timing(name, part) for name in workers}
    for round_ in range(repeats + 1):
        for name, connection in workers.items():
            timing = timings[name]
            if timing.failed:
                continue
            connection.send((part, repeats) if round_ == 0 else "again")
            answer = connection.recv()
            if isinstance(answer, str):
                timing.failed = answer
            elif round_:
                timing.seconds.append(answer["seconds"])
                timing.cpu_seconds.append(answer["cpu_seconds"])
                timing.peak_mb, timing.peak_gpu_mb = answer["peak_mb"], answer["peak_gpu_mb"]
    return list(timings.values())


@contextmanager
def _workers(contestants: Sequence[str], setting: Setting, folder: str) -> Iterator[dict[str, Connection]]:
    """One process per contestant; what it cannot do at all is said at once."""
    context = multiprocessing.get_context("spawn")
    connections, processes = {}, []
    try:
        with _without_progress_bars():
            for name in contestants:
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, name, setting, folder), daemon=True)
                process.start()
                processes.append(process)
                theirs.close()
                connections[name] = ours
        for name, connection in connections.items():
            problem = connection.recv()
            if problem:
                raise ValueError(f"{name} cannot start: {problem}")
        yield connections
    finally:
        for connection in connections.values():
            connection.close()  # whoever waits for an order goes home
        for process in processes:
            process.join(timeout=5)
            process.terminate()
            process.join()


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Processes started meanwhile draw none, whosever code they run."""
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before


def _work(connection: Connection, name: str, setting: Setting, folder: str) -> None:
    """A contestant's process: build, say so, then run part after part as told."""
    if setting.threads:
        torch.set_num_threads(setting.threads)
    try:
        contestant = CONTESTANTS[name](setting)
        _check_can_track(contestant, setting)
    except Exception as error:  # anything: it is told to the parent
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    loaded_mb = _peak_mb()
    run: Callable[[], tuple[float, float]] | None = None
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        try:
            if order != "again":
                run = prepare(contestant, *order, Path(folder) / name, setting.device)
            seconds, cpu_seconds = run()
        except Exception as error:  # one part fails, the others go on
            connection.send(f"{type(error).__name__}: {error}")
            continue
        gpu = torch.cuda.max_memory_allocated() / 2**20 if setting.device.startswith("cuda") else None
        peaks = {"peak_mb": _peak_mb() - loaded_mb, "peak_gpu_mb": gpu}
        connection.send({"seconds": seconds, "cpu_seconds": cpu_seconds, **peaks})


def prepare(
    contestant: Contestant, part: str, repeats: int, folder: Path, device: str
) -> Callable[[], tuple[float, float]]:
    """A function that runs a part once and returns its seconds and CPU seconds; the first call is the warm-up."""
    image = photo()
    if part.startswith("track"):
        frames = contestant.track(write_clip(folder, FULL_MEMORY + repeats + 2), _boxes(int(part[5:])))
        pending = iter([FULL_MEMORY + 1])  # the warm-up fills the memory

        def advance() -> None:
            for _ in range(next(pending, 1)):
                next(frames)

        return lambda: _time(advance, device)
    if part == "encode":
        return lambda: _time(lambda: contestant.encode(image), device)
    if part == "everything":
        return lambda: _time(lambda: contestant.everything(image), device)
    contestant.encode(image)

    def clicks() -> None:
        for x in range(CLICKS):
            contestant.click(300.0 + 20 * x, 250.0)

    return lambda: tuple(seconds / CLICKS for seconds in _time(clicks, device))


def _time(function: Callable[[], Any], device: str) -> tuple[float, float]:
    synchronise = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    synchronise()
    start, cpu_start = time.perf_counter(), time.process_time()
    function()
    synchronise()
    return time.perf_counter() - start, time.process_time() - cpu_start


def _boxes(count: int) -> NDArray[np.float32]:
    """Boxes side by side in the clip: (count, 4)"""
    left = np.linspace(20, CLIP_HW[1] - 220, count)
    return np.stack([left, np.full(count, 100.0), left + 180, np.full(count, 360.0)], axis=1).astype(np.float32)


def _check_can_track(contestant: Contestant, setting: Setting) -> None:
    """Random weights may stand in for speed; weights that lack the memory must not do so silently."""
    model = getattr(getattr(contestant, "video", None), "model", None)
    missing = getattr(model, "missing_parts", ())
    if missing and setting.weights is not None:
        contestant.track = lambda clip, boxes: _refuse(missing)  # type: ignore[method-assign]


def _refuse(missing: Sequence[str]) -> Iterator[None]:
    raise ValueError(f"{video_refusal(missing)}; or use random weights")


def _lines(result: Benchmark, part: str) -> Iterator[str]:
    ratios, cpu_ratios = result.ratios().get(part, {}), result.ratios("cpu_seconds").get(part, {})
    for timing in (t for t in result.timings if t.part == part):
        if timing.failed:
            yield f"{part:10} {timing.contestant:12} failed: {timing.failed}"
            continue
        name, ratio = timing.contestant, ""
        if name in ratios:
            ratio = f"  sam2nb is {ratios[name]:.2f} times as fast ({cpu_ratios[name]:.2f} in CPU seconds)"
        clock = f"{timing.median * 1e3:9.1f} ms +- {timing.spread * 1e3:.1f}"
        memory = f"{timing.peak_mb:7.0f} MB over the model" + (
            f", {timing.peak_gpu_mb:.0f} MB on the GPU" if timing.peak_gpu_mb else ""
        )
        yield f"{part:10} {name:12} {clock} {memory}{ratio}"


def _check(chosen: Sequence[str], known: Sequence[str], argument: str) -> None:
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"{argument} has {', '.join(map(repr, unknown))}; known are {', '.join(known)}")


def _peak_mb() -> float:
    """The most memory this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
