"""Rules of the region search: where an object is looked for, and when the whole frame is looked at.

A small object fills few of the model's cells. Looked for in a region around its last mask, it fills more of them, at
the same cost. The price is what the region does not show: an object that has left it is lost, and the one mask that
the model finds in it is taken for the object. So the whole frame is looked at from time to time, and at once when
something is wrong with what was found in the region; where the two differ, the whole frame is believed.

Plain numbers only, so that the rules can be read and tested without a tensor; `region_tracker` follows them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median

from sam2nb.model.memory_bank import MemoryChoice, choose_memories, forgettable
from sam2nb.predict.regions import region_around
from sam2nb.predict.video.facts import Facts
from sam2nb.structures import WHOLE_FRAME, Region

LOOK_AROUND_EVERY = 3  # frames
AGREEMENT = 0.7  # IoU of the masks from a region and the whole frame: above, the finer one is kept
CUT_OFF_AGREEMENT = 0.9  # the same for an object that reaches over its region
BONUS = 0.1  # of quality, for the whole frame
RETURN = 0.5  # of the usual quality: an object that a region does not show is back from there on
EDGE = 0.01  # of the region: a box this close to its edge may be cut off
SUDDEN = 2.0  # ratio of areas from frame to frame
FAINT = 0.75  # of the usual quality
MOST_REGIONS = 4  # of one frame, each of which costs as much as the whole frame
SHARED = 1.5  # side of a region for two objects, in sides of the larger of theirs


def choose_region(before: Sequence[Facts], size_hw: tuple[int, int]) -> Region:
    """The region to search for an object. before: facts of the frames before, the latest first."""
    if not before or not before[0].visible:
        return WHOLE_FRAME
    return region_around(before[0].box, size_hw)


def group_regions(regions: Collection[Region], size_hw: tuple[int, int]) -> dict[Region, Region]:
    """Regions to encode in place of the given ones, few and each a square around those that it takes in.

    -> {given: encoded}. Two become one where that is little larger, or where there would be more than four.
    """
    groups = {region: [region] for region in sorted(set(regions) - {WHOLE_FRAME})}
    while len(groups) > 1:
        cost, first, second, joined = min(
            (_growth(a, b, joined := _around_both(a, b, size_hw), size_hw), a, b, joined)
            for number, a in enumerate(groups)
            for b in list(groups)[number + 1 :]
        )
        if cost > SHARED and len(groups) <= MOST_REGIONS:
            break
        members = groups.pop(first) + groups.pop(second)
        groups[joined] = groups.get(joined, []) + members
    encoded = {member: region for region, members in groups.items() for member in members}
    return encoded | {region: WHOLE_FRAME for region in regions if region == WHOLE_FRAME}


def _around_both(first: Region, second: Region, size_hw: tuple[int, int]) -> Region:
    both = tuple(min(pair) for pair in zip(first[:2], second[:2], strict=True))
    both += tuple(max(pair) for pair in zip(first[2:], second[2:], strict=True))
    return region_around(both, size_hw, growth=1.0)


def _growth(first: Region, second: Region, joined: Region, size_hw: tuple[int, int]) -> float:
    """Side of the joined region in sides of the larger of the two."""
    return _side(joined, size_hw) / max(_side(first, size_hw), _side(second, size_hw))


def _side(region: Region, size_hw: tuple[int, int]) -> float:
    return max((region[2] - region[0]) * size_hw[1], (region[3] - region[1]) * size_hw[0])


def must_look_around(frame: int, now: Facts, before: Sequence[Facts]) -> bool:
    """Whether the whole frame is looked at, too, after an object was looked for in a region.

    now: facts from the region. All objects share the frames on which this is due, and so the encoded frame.
    """
    if now.region == WHOLE_FRAME:
        return False
    return frame % LOOK_AROUND_EVERY == 0 or is_unsure(now, before)


def is_unsure(now: Facts, before: Sequence[Facts]) -> bool:
    """Whether something is wrong with an object in its region: absent, cut off, of a sudden size or low quality."""
    if not now.visible or is_cut_off(now):
        return True
    visible = [old for old in before if old.visible]
    if not visible:
        return False
    ratio = now.area / visible[0].area
    return not 1 / SUDDEN < ratio < SUDDEN or now.quality < FAINT * usual_quality(before)


def is_cut_off(now: Facts) -> bool:
    """Whether the object reaches an edge of its region that is not an edge of the frame."""
    margins = (EDGE * (now.region[2] - now.region[0]), EDGE * (now.region[3] - now.region[1]))
    for side in range(4):
        inner = now.region[side] != WHOLE_FRAME[side]
        if inner and abs(now.box[side] - now.region[side]) <= margins[side % 2]:
            return True
    return False


def believe_frame(whole: Facts, part: Facts, agreement: float, before: Sequence[Facts]) -> bool:
    """Whether what the whole frame shows is taken, instead of what a region shows.

    agreement: IoU of the two masks. The decision is by predicted IoU, with a small bonus for the whole frame, because
    a region may have settled on part of the object.
    """
    if whole.visible and is_cut_off(part):
        return agreement < CUT_OFF_AGREEMENT
    if whole.visible and part.visible:
        return agreement < AGREEMENT and whole.quality > part.quality - BONUS
    usual = usual_quality(before)
    if whole.visible:
        return whole.quality > RETURN * usual
    return part.visible and part.quality < FAINT * usual


def usual_quality(before: Sequence[Facts]) -> float:
    """The median quality on the frames that showed the object, 0 if none did."""
    return median([old.quality for old in before if old.visible] or [0.0])


def choose_looks(
    frame: int, prompted: Collection[int], tracked: Collection[int], *, reverse: bool = False, **options
) -> MemoryChoice:
    """The memories that a look at the whole frame attends to: the official rule, counted in looks instead of frames.

    The age of a prompted frame alone is in frames, so that it does not depend on what a stream has forgotten.
    prompted, tracked: frames with a memory of the whole frame. options: as for `choose_memories`.
    """
    frames, number = _numbered(frame, prompted, tracked)
    choice = choose_memories(
        number[frame], [number[f] for f in prompted], [number[f] for f in tracked], reverse=reverse, **options
    )
    spatial = tuple((frames[other], row) for other, row in choice.spatial)
    pointers = tuple((frames[n], abs(frame - frames[n]) if frames[n] in prompted else d) for n, d in choice.pointers)
    return MemoryChoice(spatial, pointers, choice.pointer_span)


def forgettable_looks(
    frame: int, prompted: Collection[int], tracked: Collection[int], *, max_prompted: int | None = None
) -> tuple[set[int], set[int]]:
    """Prompted and tracked frames whose look at the whole frame cannot be read again, see `forgettable`."""
    frames, number = _numbered(frame, prompted, tracked)
    old = forgettable(
        number[frame], [number[f] for f in prompted], [number[f] for f in tracked], max_prompted=max_prompted
    )
    return {frames[n] for n in old[0]}, {frames[n] for n in old[1]}


def _numbered(frame: int, *seen: Collection[int]) -> tuple[list[int], dict[int, int]]:
    """Frames in order, and the number of each."""
    frames = sorted({frame}.union(*seen))
    return frames, {other: number for number, other in enumerate(frames)}
