"""The memory bank: which frames a frame attends to (SAM 2, arXiv 2408.00714, section 4 "memory bank").

A rule over integers and nothing else, so it can be read and tested without a tensor. A frame looks at

- every prompted frame, past and future, with the last row of the table of ages;
- the six frames before it that were tracked (after it, when tracking runs backwards), one row per age;
- object pointers: those of past prompted frames, and of the fifteen frames before it.

Differs from official: the result lists prompted frames in order of time, not of prompting, so that objects prompted on
the same frames in another order share a layout. The attended set is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sam2nb.structures import FrameMemory, Recollection

NUM_MASKMEM = 7  # rows in the table of ages: six ages of tracked frames and, last, "prompted"
MAX_POINTERS = 16  # a frame's own pointer and those of fifteen others


@dataclass(frozen=True)
class MemoryChoice:
    """The frames one frame attends to. Two objects with equal choices can be tracked in one batch.

    spatial: (frame, row of the table of ages) pairs. pointers: (frame, distance in time) pairs.
    pointer_span: the distance that the time code calls 1.
    """

    spatial: tuple[tuple[int, int], ...]
    pointers: tuple[tuple[int, int], ...]
    pointer_span: int


def choose_memories(
    frame: int,
    prompted: Collection[int],
    tracked: Collection[int],
    *,
    num_frames: int | None = None,
    reverse: bool = False,
    num_maskmem: int = NUM_MASKMEM,
    max_pointers: int = MAX_POINTERS,
    max_prompted: int | None = None,
) -> MemoryChoice:
    """Which memories frame `frame` attends to.

    prompted: frames with a prompt; tracked: frames with an answer of the model's own.
    num_frames: length of the clip, None for a stream that does not end. reverse: tracking runs backwards in time.
    max_prompted: attend to the closest so many prompted frames only; None for all, as official by default.
    """
    step = -1 if reverse else 1  # one frame towards the future, as tracking sees it
    chosen = closest_prompted(frame, prompted, max_prompted)
    others = set(tracked) | (set(prompted) - set(chosen))  # prompted but not chosen: read as if tracked
    prompted_row = num_maskmem - 1
    spatial = [(other, prompted_row) for other in chosen]
    for age in range(num_maskmem - 1, 0, -1):
        if frame - age * step in others:
            spatial.append((frame - age * step, age - 1))
    reach = max_pointers if num_frames is None else min(num_frames, max_pointers)
    pointers = [(other, (frame - other) * step) for other in chosen if (frame - other) * step >= 0]
    for distance in range(1, reach):
        if frame - distance * step in others:
            pointers.append((frame - distance * step, distance))
    return MemoryChoice(tuple(spatial), tuple(pointers), pointer_span=max(reach - 1, 1))


def closest_prompted(frame: int, prompted: Collection[int], limit: int | None = None) -> tuple[int, ...]:
    """The prompted frames to attend to, in order of time: all, or the `limit` (2 or more) closest ones.

    Among these are always the closest one before and the closest one after.
    """
    if limit is None or len(prompted) <= limit:
        return tuple(sorted(prompted))
    before = [other for other in prompted if other < frame]
    after = [other for other in prompted if other >= frame]
    chosen = {max(before)} if before else set()
    chosen |= {min(after)} if after else set()
    rest = sorted((other for other in prompted if other not in chosen), key=lambda other: abs(other - frame))
    return tuple(sorted(chosen | set(rest[: limit - len(chosen)])))


def forgettable(
    frame: int,
    prompted: Collection[int],
    tracked: Collection[int],
    *,
    max_pointers: int = MAX_POINTERS,
    max_prompted: int | None = None,
) -> tuple[set[int], set[int]]:
    """Frames that can never be read again once tracking has passed `frame` and only goes on from there.

    A new prompt on `frame` itself may still read its past, so what `frame` can reach stays.

    -> forgettable prompted frames, forgettable tracked frames
    """
    oldest = frame - (max_pointers - 1)
    stale = {other for other in tracked if other < oldest}
    kept = set(closest_prompted(frame + 1, prompted, max_prompted))
    return {other for other in prompted if other < oldest and other not in kept}, stale


@dataclass
class MemoryBank:
    """Memories of one object by frame: `prompted` ones stay conditions for good, `tracked` ones are the model's own."""

    prompted: dict[int, FrameMemory] = field(default_factory=dict)
    tracked: dict[int, FrameMemory] = field(default_factory=dict)

    def __getitem__(self, frame: int) -> FrameMemory:
        return self.prompted[frame] if frame in self.prompted else self.tracked[frame]

    def get(self, frame: int) -> FrameMemory | None:
        """The memory of a frame, None where there is none."""
        return self.prompted.get(frame) or self.tracked.get(frame)

    def forget_before(self, frame: int, max_prompted: int | None) -> None:
        """Drop what cannot be read again when tracking goes on forwards from `frame`."""
        old_prompted, old_tracked = forgettable(frame, self.prompted, self.tracked, max_prompted=max_prompted)
        for other in old_prompted:
            del self.prompted[other]
        for other in old_tracked:
            del self.tracked[other]


def recollect(banks: Iterable[MemoryBank], choice: MemoryChoice) -> Recollection:
    """The chosen memories of B objects, stacked for the model."""
    banks = list(banks)

    def stack(frame: int, part: str) -> Tensor:
        tensors = [getattr(bank[frame], part) for bank in banks]
        return tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    return Recollection(
        spatial=tuple((stack(frame, "features"), row) for frame, row in choice.spatial),
        pointers=tuple((stack(frame, "pointer"), distance) for frame, distance in choice.pointers),
        pointer_span=choice.pointer_span,
    )
