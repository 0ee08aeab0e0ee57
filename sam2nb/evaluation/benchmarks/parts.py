"""The parts of a benchmark: what a contestant computes, step by step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sam2nb.evaluation.benchmarks.contestants import Contestant
from sam2nb.evaluation.benchmarks.scene import boxes, clip_frames, photo, write_clip
from sam2nb.evaluation.benchmarks.setting import Workload

CLICKS = 5
FULL_MEMORY = 7  # frames after the prompted one until six tracked memories exist
STREAM_START = 50  # frames after which a stream needs no more memory
GPU_BUDGET = 4e9  # bytes
LARGEST_SIDES = (1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 16000)


@dataclass(frozen=True)
class Task:
    """A part as one contestant gets it. folder: for its files; repeats: the number of timed steps after the warm-up."""

    workload: Workload
    folder: Path
    repeats: int
    objects: int = 1


@dataclass(frozen=True)
class Step:
    """The result of one step. masks: logits or booleans, to be compared; state: kept until memory has been measured."""

    masks: Any = None
    figures: Mapping[str, float] = field(default_factory=dict)
    state: Any = None


class Part(NamedTuple):
    """A part of the benchmark.

    start: a generator that yields None after its preparation, then a `Step` after every step.
    calls: computations in one step, by which its seconds are divided. counted: its name ends with a number of objects.
    """

    about: str
    start: Callable[[Contestant, Task], Iterator[Step | None]]
    calls: int = 1
    counted: bool = False


def find_part(name: str) -> tuple[Part, int]:
    """The part of a name such as "encode" or "track4", and its number of objects.

    Raises ValueError for an unknown name.
    """
    stem, digits = re.fullmatch(r"(.*?)(\d*)", name, re.DOTALL).groups()
    part = PARTS.get(stem)
    if part is None or part.counted != bool(digits) or digits == "0":
        known = ", ".join(f"{key}N" if value.counted else key for key, value in PARTS.items())
        raise ValueError(f"parts has {name!r}; known are {known} (N: a number of objects)")
    return part, int(digits or 1)


def explain_parts(names: Sequence[str]) -> Iterator[str]:
    """One line for every part: what one step of it computes."""
    for name in names:
        yield f"{name:10}  {find_part(name)[0].about}"


def _encode(contestant: Contestant, task: Task) -> Iterator[Step | None]:
    image = photo(task.workload)
    yield None
    while True:
        contestant.encode(image)
        yield Step()


def _click(contestant: Contestant, task: Task) -> Iterator[Step | None]:
    height, width = task.workload.photo_hw
    contestant.encode(photo(task.workload))
    yield None
    while True:
        for k in range(CLICKS):
            masks = contestant.click((0.375 + 0.025 * k) * width, height * 5 / 12)
        yield Step(masks)


def _everything(contestant: Contestant, task: Task, unfiltered: bool = False) -> Iterator[Step | None]:
    image, segment = photo(task.workload), contestant.everything(task.workload, unfiltered)
    yield None
    while True:
        yield Step(figures={"masks": segment(image)})


def _unfiltered(contestant: Contestant, task: Task) -> Iterator[Step | None]:
    return _everything(contestant, task, unfiltered=True)


def _largest(contestant: Contestant, task: Task) -> Iterator[Step | None]:
    if not torch.cuda.is_available():
        raise ValueError("largest needs a GPU")
    segment = contestant.everything(task.workload, True)
    yield None
    torch.cuda.set_per_process_memory_fraction(GPU_BUDGET / torch.cuda.get_device_properties(0).total_memory)
    fits = 0
    try:
        for side in LARGEST_SIDES:
            segment(photo(replace(task.workload, photo_hw=(side, side))))
            fits = side
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    yield Step(figures={"largest_side": fits})


def _track(contestant: Contestant, task: Task) -> Iterator[Step | None]:
    clip = write_clip(task.folder / "track", task.workload, FULL_MEMORY + task.repeats + 2)
    frames = contestant.track(clip, boxes(task.workload, task.objects))
    for _ in range(FULL_MEMORY):
        next(frames)
    yield None
    for logits in frames:
        yield Step(logits)


def _folder(contestant: Contestant, task: Task) -> Iterator[Step | None]:
    for _ in range(2):  # the first video of a process also loads decoders and fills caches
        contestant.open(write_clip(task.folder / "first", task.workload, 1))
    clip = write_clip(task.folder / "frames", task.workload, task.workload.frames)
    yield None
    while True:
        yield Step(state=contestant.open(clip))


def _stream(contestant: Contestant, task: Task) -> Iterator[Step | None]:
    frames = clip_frames(task.workload)
    push = contestant.stream(next(frames), boxes(task.workload, task.objects))
    for _ in range(STREAM_START):
        push(next(frames))
    yield None
    for frame in frames:
        yield Step(push(frame))


PARTS: Mapping[str, Part] = {
    "encode": Part("`set_image` of a photograph, from a uint8 array to features", _encode),
    "click": Part("one click to three masks at the size of the photograph, features given", _click, calls=CLICKS),
    "everything": Part("the automatic mask generator on the photograph", _everything),
    "everything_unfiltered": Part("the same with both thresholds at 0, so that every mask is kept", _unfiltered),
    "largest": Part("GPU only, not timed: the side of the largest square photograph within 4 GB", _largest),
    "track": Part(
        "one frame of a clip with N objects, encoding included, once the memory is full", _track, counted=True
    ),
    "folder": Part("opening a folder of frames as a video", _folder),
    "stream": Part(f"one frame of a stream with N objects, after the first {STREAM_START}", _stream, counted=True),
}
