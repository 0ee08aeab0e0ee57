"""Association: which masks of a key frame are known objects, which are new, and which objects rest.

Pure Python over frame numbers and run lengths; `everything.py` does with the tracks what is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam2nb.masks.measure import pairwise_rle_iou
from sam2nb.masks.rle import Rle
from sam2nb.predict.video.session import ObjectId

MATCHING_IOU = 0.5  # from here on two masks show one object; of disjoint masks, only one can be that close to a third


class Absence(NamedTuple):
    """The first frame on which an object was not seen, and its mask on the frame before."""

    since: int
    place: Rle


class Meeting(NamedTuple):
    """The outcome of a key frame: the masks that become prompts, by object, and the objects that are forgotten."""

    prompts: dict[ObjectId, Rle]
    forgotten: list[ObjectId]


@dataclass
class Identities:
    """The objects of a video: those that are tracked, those that rest, and the ids for new ones.

    max_objects: limit of tracked and resting objects together. rest_after: frames of absence until an object rests.
    ids: an iterator over ids, each of which is used once; where it ends, no more objects join.
    tracked: None for an object that is visible, else its absence. resting: the longest resting first.
    """

    max_objects: int
    rest_after: int
    ids: Iterator[ObjectId]
    tracked: dict[ObjectId, Absence | None] = field(default_factory=dict)
    resting: dict[ObjectId, Absence] = field(default_factory=dict)

    def keep(self, obj_ids: Collection[ObjectId]) -> None:
        """Drop the tracked objects that are not among these: the caller has removed them."""
        for obj_id in [other for other in self.tracked if other not in obj_ids]:
            del self.tracked[obj_id]

    def note(self, frame: int, visible: Mapping[ObjectId, bool], place_of: Callable[[ObjectId], Rle]) -> None:
        """Take down which of the tracked objects are visible. place_of: the mask of an object on the frame before."""
        for obj_id, is_visible in visible.items():
            if is_visible:
                self.tracked[obj_id] = None
            elif self.tracked.get(obj_id) is None:
                self.tracked[obj_id] = Absence(frame, place_of(obj_id))

    def rest(self, frame: int) -> list[ObjectId]:
        """Lay the objects to rest that were absent for `rest_after` frames before this one. -> their ids"""
        lost = [i for i, absence in self.tracked.items() if absence and frame - absence.since >= self.rest_after]
        for obj_id in lost:
            self.resting[obj_id] = self.tracked.pop(obj_id)
        return lost

    def meet(self, found: Sequence[Rle], seen: Mapping[ObjectId, Rle], recalled: Mapping[ObjectId, Rle]) -> Meeting:
        """Decide about the masks of a key frame.

        found: masks of everything mode, best first. seen: masks of the tracked objects that are visible. recalled:
        masks that the memories of resting objects predict on this frame.

        A mask that overlaps a visible object adds nothing. One that matches what an absent object's memory predicts,
        or else its place, brings that object back. The others are new objects, as far as there is room: for a new
        object, the one that has rested longest is forgotten.
        """
        left = unlike(found, list(seen.values()))
        returning, left = match(left, recalled)
        absences = {i: a for i, a in (*self.tracked.items(), *self.resting.items()) if a and i not in returning}
        back, left = match(left, {i: absence.place for i, absence in absences.items()})
        returning |= back
        for obj_id in returning:
            self.resting.pop(obj_id, None)
            self.tracked[obj_id] = None
        joining, forgotten = self._admit(distinct(unlike(left, list(returning.values()))))
        return Meeting(returning | joining, forgotten)

    def _admit(self, masks: Sequence[Rle]) -> tuple[dict[ObjectId, Rle], list[ObjectId]]:
        joining: dict[ObjectId, Rle] = {}
        forgotten: list[ObjectId] = []
        for mask in masks:
            is_full = len(self.tracked) + len(self.resting) >= self.max_objects
            if is_full and not self.resting:
                break
            try:
                obj_id = next(self.ids)
            except StopIteration:
                break
            if is_full:
                forgotten.append(next(iter(self.resting)))
                del self.resting[forgotten[-1]]
            joining[obj_id] = mask
            self.tracked[obj_id] = None
        return joining, forgotten


def match(masks: Sequence[Rle], objects: Mapping[ObjectId, Rle]) -> tuple[dict[ObjectId, Rle], list[Rle]]:
    """Pair masks with objects, at most one with each, so that the sum of their IoUs is greatest.

    -> the mask of each matched object, and the masks that are left over; pairs below `MATCHING_IOU` do not count.
    """
    ids = list(objects)
    ious = pairwise_rle_iou(masks, [objects[obj_id] for obj_id in ids])
    ious[ious < MATCHING_IOU] = 0
    pairs = zip(*linear_sum_assignment(ious, maximize=True), strict=True)
    matched = {row: ids[column] for row, column in pairs if ious[row, column] > 0}
    return (
        {obj_id: masks[row] for row, obj_id in matched.items()},
        [mask for row, mask in enumerate(masks) if row not in matched],
    )


def unlike(masks: Sequence[Rle], others: Sequence[Rle]) -> list[Rle]:
    """The masks that match none of the others."""
    is_like = (pairwise_rle_iou(masks, others) >= MATCHING_IOU).any(axis=1)
    return [mask for mask, like in zip(masks, is_like, strict=True) if not like]


def distinct(masks: Sequence[Rle]) -> list[Rle]:
    """The masks that match no better one. masks: best first"""
    is_like = pairwise_rle_iou(masks, masks) >= MATCHING_IOU
    kept: list[int] = []
    for row in range(len(masks)):
        if not np.any(is_like[row, kept]):
            kept.append(row)
    return [masks[row] for row in kept]


def use_once(ids: Iterable[ObjectId] | None) -> Iterator[ObjectId]:
    """Iterate over ids, 1, 2, 3, … if there are none; ValueError for one that has come before."""
    if ids is None:
        yield from count(1)
    used = set()
    for obj_id in ids:
        if obj_id in used:
            raise ValueError(f"ids must all be different, {obj_id!r} came twice")
        used.add(obj_id)
        yield obj_id
