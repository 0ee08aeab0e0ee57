"""Search regions: where in the frame an object is looked for.

A small object fills few of the model's cells. Looked for in a region around its last mask, it fills more of them, at
the same cost. The price is what the region does not show: so the whole frame is looked at again as soon as something
is wrong with what was found in the region, and the better of the two predictions is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from sam2nb.predict.regions import region_around
from sam2nb.predict.video.facts import Facts
from sam2nb.structures import WHOLE_FRAME, Region

SEARCHES = ("frame", "region")
SMOOTHING = 0.5  # weight of the latest box
EDGE = 0.01  # of the region: a box this close to its edge may be cut off
SUDDEN = 2.0  # ratio of areas from frame to frame
FAINT = 0.75  # of the usual quality


def choose_region(before: Sequence[Facts], size_hw: tuple[int, int]) -> Region:
    """The region to search for an object. before: facts of the frames before, the latest first."""
    if not before or not before[0].visible:
        return WHOLE_FRAME
    return region_around(before[0].box, size_hw, speed_of(before))


def speed_of(before: Sequence[Facts]) -> tuple[float, float]:
    """How far the centre of the box moves from frame to frame, smoothed: (x, y) in 0..1 of the frame."""
    centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (old.box for old in before[:3] if old.visible)]
    if len(centres) < 2:
        return 0.0, 0.0
    steps = [(new[0] - old[0], new[1] - old[1]) for new, old in zip(centres, centres[1:], strict=False)]
    return sum(x for x, _ in steps) / len(steps) * SMOOTHING, sum(y for _, y in steps) / len(steps) * SMOOTHING


def is_unsure(now: Facts, before: Sequence[Facts]) -> bool:
    """Whether the whole frame must be looked at, after an object was looked for in a region."""
    if now.region == WHOLE_FRAME:
        return False
    if not now.visible or is_cut_off(now):
        return True
    visible = [old for old in before if old.visible]
    if not visible:
        return False
    ratio = now.area / visible[0].area
    usual = sorted(old.quality for old in visible)[len(visible) // 2]
    return not 1 / SUDDEN < ratio < SUDDEN or now.quality < FAINT * usual


def is_cut_off(now: Facts) -> bool:
    """Whether the object reaches an edge of its region that is not an edge of the frame."""
    margins = (EDGE * (now.region[2] - now.region[0]), EDGE * (now.region[3] - now.region[1]))
    for side in range(4):
        inner = now.region[side] != WHOLE_FRAME[side]
        if inner and abs(now.box[side] - now.region[side]) <= margins[side % 2]:
            return True
    return False


def is_better(now: Facts, other: Facts) -> bool:
    """Whether a prediction in the whole frame is to be kept instead of another one in a region."""
    return now.visible and (not other.visible or now.quality > other.quality)
