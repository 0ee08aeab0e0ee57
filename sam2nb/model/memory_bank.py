"""The memory bank: which frames a frame attends to, and where their memories are kept.

SAM 2, arXiv 2408.00714, section 4 "Memory bank". The rule is pure Python over frame numbers, so that it can be read
and tested without a tensor. A frame attends to

- every prompted frame, past and future, with the last row of the temporal position table;
- the six frames before it that were tracked (after it, when tracking runs backwards), one row for each age
  (four in sam2nb_nano, whose table has five rows);
- object pointers: those of all past prompted frames, and of the fifteen frames before it.

Differs from the official package: prompted frames come in order of time, not of prompting, so that objects prompted on
the same frames in another order share a layout. The attended set is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sam2nb.structures import FrameMemory, Recollection

NUM_MASKMEM = 7  # rows of the temporal position table: six ages of tracked frames and, last, "prompted"
MAX_POINTERS = 16  # the official setting; pointers of tracked frames reach back one frame less, fifteen


@dataclass(frozen=True)
class MemoryChoice:
    """The frames that one frame attends to. Two objects with equal choices can be tracked in one batch.

    spatial: (frame, row of the temporal position table) pairs. pointers: (frame, distance in time) pairs.
    pointer_span: the distance in frames at which the time encoding reaches 1.
    """

    spatial: tuple[tuple[int, int], ...]
    pointers: tuple[tuple[int, int], ...]
    pointer_span: int


@dataclass
class MemoryBank:
    """Memories of one object by frame number: of frames the user `prompted`, and of frames the model `tracked`."""

    prompted: dict[int, FrameMemory] = field(default_factory=dict)
    tracked: dict[int, FrameMemory] = field(default_factory=dict)

    def __getitem__(self, frame: int) -> FrameMemory:
        return self.prompted[frame] if frame in self.prompted else self.tracked[frame]

    def get(self, frame: int) -> FrameMemory | None:
        """The memory of a frame, None where there is none."""
        return self.prompted.get(frame) or self.tracked.get(frame)

    def forget(self, prompted: Iterable[int], tracked: Iterable[int]) -> None:
        """Drop the memories of these prompted and tracked frames."""
        for frame in prompted:
            del self.prompted[frame]
        for frame in tracked:
            del self.tracked[frame]


def choose_memories(
    frame: int,
    prompted: Collection[int],
    tracked: Collection[int],
    *,
    num_frames: int | None = None,
    reverse: bool = False,
    num_maskmem: int = NUM_MASKMEM,
    max_prompted: int | None = None,
) -> MemoryChoice:
    """Choose the memories that `frame` attends to.

    prompted: frames with a prompt; tracked: frames with a prediction of the model's own.
    num_frames: length of the clip, None for a stream without end. reverse: tracking runs backwards in time.
    max_prompted: attend to this many prompted frames at most, the closest ones; None for all, the official default.
    """
    step = -1 if reverse else 1  # one frame towards the future, as tracking sees it
    chosen = closest_prompted(frame, prompted, max_prompted)
    others = set(tracked) | (set(prompted) - set(chosen))  # prompted but not chosen: read as if tracked

    # memory maps: prompted frames in the last row, tracked ones by age, the oldest first
    spatial = [(other, num_maskmem - 1) for other in chosen]
    for age in range(num_maskmem - 1, 0, -1):
        if frame - age * step in others:
            spatial.append((frame - age * step, age - 1))

    # object pointers: prompted frames that are not in the future, then the most recent frames
    limit = MAX_POINTERS if num_frames is None else min(num_frames, MAX_POINTERS)
    pointers = [(other, (frame - other) * step) for other in chosen if (frame - other) * step >= 0]
    for distance in range(1, limit):
        if frame - distance * step in others:
            pointers.append((frame - distance * step, distance))
    return MemoryChoice(tuple(spatial), tuple(pointers), pointer_span=max(limit - 1, 1))


def closest_prompted(frame: int, prompted: Collection[int], limit: int | None = None) -> tuple[int, ...]:
    """The prompted frames to attend to, in order of time: all, or the `limit` (2 or more) closest ones.

    Always among them: the closest one before and the closest one after.
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
    frame: int, prompted: Collection[int], tracked: Collection[int], *, max_prompted: int | None = None
) -> tuple[set[int], set[int]]:
    """Frames that can never be read again once tracking has passed `frame` and only continues forwards.

    A new prompt on `frame` itself may still read its past, so whatever `frame` can reach is kept.

    -> forgettable prompted frames, forgettable tracked frames
    """
    oldest = frame - (MAX_POINTERS - 1)
    kept = set(closest_prompted(frame + 1, prompted, max_prompted))
    old_prompted = {other for other in prompted if other < oldest and other not in kept}
    return old_prompted, {other for other in tracked if other < oldest}


def recollect(banks: Iterable[MemoryBank], choice: MemoryChoice) -> Recollection:
    """Stack the chosen memories of B objects for the model."""
    banks = list(banks)

    def stack(frame: int, part: str) -> Tensor:
        tensors = [getattr(bank[frame], part) for bank in banks]
        return tensors[0] if len(tensors) == 1 else torch.cat(tensors)

    return Recollection(
        spatial=tuple((stack(frame, "features"), row) for frame, row in choice.spatial),
        pointers=tuple((stack(frame, "pointer"), distance) for frame, distance in choice.pointers),
        pointer_span=choice.pointer_span,
    )
