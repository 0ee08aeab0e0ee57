"""Memory policies: which frames an object attends to, and which it keeps for good.

A policy is a pure function over plain numbers (`Facts`), so that it can be read and tested without a tensor. Three are
at hand:

- the official rule: the latest frames, whatever was seen on them (SAM 2, arXiv 2408.00714, section 4);
- steady: the latest frames on which the object was seen (after the memory rule of SAMURAI, arXiv 2411.11922, section
  4.2): frames without it do not push out those that show it. A mask in which the model hardly believes, compared with
  how well it usually sees the object, is taken for another thing: it is not shown, and not remembered either;
- anchored: steady, and some frames are kept like prompted ones: those on which the object was tracked well although
  something like it was near (the distractor-resolving memory of DAM4SAM, arXiv 2411.17576, section 3.2). The mixture is
  the one that arXiv 2512.22624 recommends.

The official packages of SAMURAI and DAM4SAM track one object; here every object has a history of its own.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Protocol

from sam2nb.model.memory_bank import (
    MAX_POINTERS,
    NUM_MASKMEM,
    MemoryChoice,
    choose_memories,
    closest_prompted,
    forgettable,
)
from sam2nb.predict.video.facts import Facts, box_iou

REACH = MAX_POINTERS - 1  # frames before a scene cut that can be attended to after it
HISTORY = 32  # tracked frames that a policy looks back on; a stream keeps no more
# steady
MISTAKEN = 0.2  # of the usual quality: below, a mask is taken for another thing, and the object is absent
SURE = 0.75  # of the usual quality: what was taken for another thing is the object after all
SAME_PLACE, REFUSED_FOR = 0.3, 3  # box IoU, and frames: the same other thing
# anchored
MAX_ANCHORS = 3
ANCHOR_DISTANCE = 5  # frames between two anchors, at least
ANCHOR_RANK = 0.5  # quantile of the qualities in the history that an anchor must reach
ANCHOR_DOUBT = 0.3  # how far a distractor must show: 1 - box IoU, as in DAM4SAM
ANCHOR_AREAS = 10  # visible frames whose median area an anchor must be close to
ANCHOR_AREA_CHANGE = 0.2


class MemoryPolicy(Protocol):
    """Choose among the memories of one object."""

    looks_for_distractors: bool  # whether `Facts.doubt` must be known
    heeds_cuts: bool  # whether scene cuts must be known

    def judge(self, frame: int, now: Facts, facts: Mapping[int, Facts], reverse: bool) -> Facts:
        """The facts of the frame that was just tracked, with the policy's verdicts on it (`clear`, `anchor`).

        They say that the object is absent where the policy does not believe the mask, which is then not shown.

        facts: of the other frames of the object.
        """

    def choose(
        self,
        frame: int,
        prompted: Collection[int],
        tracked: Collection[int],
        facts: Mapping[int, Facts],
        *,
        num_frames: int | None = None,
        reverse: bool = False,
        num_maskmem: int = NUM_MASKMEM,
        max_prompted: int | None = None,
        shot_start: int | None = None,
    ) -> MemoryChoice:
        """The memories that `frame` attends to; see `choose_memories` for the arguments.

        shot_start: the frame after the last scene cut, as tracking sees it; None where there was none.
        """

    def forgettable(
        self,
        frame: int,
        prompted: Collection[int],
        tracked: Collection[int],
        facts: Mapping[int, Facts],
        *,
        num_maskmem: int = NUM_MASKMEM,
        max_prompted: int | None = None,
        shot_start: int | None = None,
    ) -> tuple[set[int], set[int]]:
        """Prompted and tracked frames that cannot be read again; see `memory_bank.forgettable`."""


class Official:
    """The rule of the paper."""

    looks_for_distractors = False
    heeds_cuts = False

    def judge(self, frame: int, now: Facts, facts: Mapping[int, Facts], reverse: bool) -> Facts:
        return now

    def choose(self, frame, prompted, tracked, facts, *, shot_start=None, **options) -> MemoryChoice:
        return choose_memories(frame, prompted, tracked, **options)

    def forgettable(
        self, frame, prompted, tracked, facts, *, num_maskmem=NUM_MASKMEM, max_prompted=None, shot_start=None
    ):
        return forgettable(frame, prompted, tracked, max_prompted=max_prompted)


class Steady:
    """Attend to the latest frames on which the object was clear, and to the one just before."""

    looks_for_distractors = False
    heeds_cuts = True

    def judge(self, frame: int, now: Facts, facts: Mapping[int, Facts], reverse: bool) -> Facts:
        before = history(frame, facts, reverse)
        if is_mistaken(now, before):
            return now.as_mistaken()
        return now._replace(clear=now.visible)

    def choose(
        self,
        frame,
        prompted,
        tracked,
        facts,
        *,
        num_frames=None,
        reverse=False,
        num_maskmem=NUM_MASKMEM,
        max_prompted=None,
        shot_start=None,
    ) -> MemoryChoice:
        step = -1 if reverse else 1
        official = choose_memories(
            frame,
            prompted,
            tracked,
            num_frames=num_frames,
            reverse=reverse,
            num_maskmem=num_maskmem,
            max_prompted=max_prompted,
        )
        kept = closest_prompted(frame, prompted, max_prompted)
        past = [other for other in (*tracked, *prompted) if other not in kept and (frame - other) * step > 0]
        anchors = self.anchors(frame, past, facts)
        clear = [
            other for other in past if other not in anchors and (facts[other].clear or (frame - other) * step == 1)
        ]
        recent = latest(frame, clear, num_maskmem - 1, reverse, shot_start)
        lasting = [(other, num_maskmem - 1) for other in sorted((*kept, *anchors))]
        by_rank = [(other, rank) for rank, other in enumerate(recent)]
        return MemoryChoice((*lasting, *reversed(by_rank)), official.pointers, official.pointer_span)

    def anchors(self, frame: int, past: Sequence[int], facts: Mapping[int, Facts]) -> list[int]:
        """The tracked frames that are attended to like prompted ones."""
        return []

    def forgettable(
        self, frame, prompted, tracked, facts, *, num_maskmem=NUM_MASKMEM, max_prompted=None, shot_start=None
    ):
        limits = {"num_maskmem": num_maskmem, "max_prompted": max_prompted}
        old_prompted, old_tracked = forgettable(frame, prompted, tracked, max_prompted=max_prompted)
        chosen = {
            other
            for ahead in (frame, frame + 1)
            for other, _ in self.choose(ahead, prompted, tracked, facts, **limits).spatial
        }
        if shot_start is not None and frame - shot_start < num_maskmem:
            chosen.update(range(shot_start - REACH, shot_start))
        return old_prompted - chosen, old_tracked - chosen


class Anchored(Steady):
    """Steady, and anchors: frames on which the object was told from a distractor are attended to for good."""

    looks_for_distractors = True

    def judge(self, frame: int, now: Facts, facts: Mapping[int, Facts], reverse: bool) -> Facts:
        now = super().judge(frame, now, facts, reverse)
        return now._replace(anchor=is_anchor(now, history(frame, facts, reverse)))

    def anchors(self, frame: int, past: Sequence[int], facts: Mapping[int, Facts]) -> list[int]:
        found = [other for other in past if facts[other].anchor]
        return heapq.nsmallest(MAX_ANCHORS, found, key=lambda other: abs(frame - other))


def latest(
    frame: int, clear: Sequence[int], count: int, reverse: bool = False, shot_start: int | None = None
) -> list[int]:
    """Up to `count` of the clear frames, the latest first.

    Right after a scene cut the latest frames show another scene, and one view of the object: those of the shot before
    are then spread over its last fifteen frames.
    """
    by_age = sorted(clear, key=lambda other: abs(frame - other))
    if shot_start is None:
        return by_age[:count]
    step = -1 if reverse else 1
    here = [other for other in by_age if (other - shot_start) * step >= 0][:count]
    before = [other for other in by_age if 0 < (shot_start - other) * step <= REACH]
    free = count - len(here)
    if free >= len(before):
        return by_age[:count]
    return here + [before[round(n * (len(before) - 1) / max(free - 1, 1))] for n in range(free)]


def history(frame: int, facts: Mapping[int, Facts], reverse: bool) -> list[Facts]:
    """The facts of the frames before, as tracking sees it, the latest first."""
    step = -1 if reverse else 1
    before = (frame - distance * step for distance in range(1, HISTORY + 1))
    return [facts[other] for other in before if other in facts]


def is_mistaken(now: Facts, before: Sequence[Facts]) -> bool:
    """Whether the model found something, but hardly believes in its own mask: the object is gone, this is another.

    What was refused stays refused at its place. Only where the object itself was seen last, behind whatever hides it,
    may it show itself again.
    """
    visible = [old for old in before if old.visible]
    if not now.visible or not visible:
        return False
    share = now.quality / max(median(old.quality for old in visible), 1e-6)
    refused = any(old.mistaken and box_iou(old.box, now.box) > SAME_PLACE for old in before[:REFUSED_FOR])
    if refused and box_iou(visible[0].box, now.box) == 0:
        return True
    return share < (SURE if refused else MISTAKEN)


def is_anchor(now: Facts, before: Sequence[Facts]) -> bool:
    """Whether the object was tracked well although a distractor shows, and no anchor is near."""
    if not now.clear or now.doubt < ANCHOR_DOUBT or any(old.anchor for old in before[:ANCHOR_DISTANCE]):
        return False
    visible = [old for old in before if old.visible]
    if now.quality < quantile([old.quality for old in visible], ANCHOR_RANK):
        return False
    usual = median([old.area for old in visible[:ANCHOR_AREAS]] or [now.area])
    return abs(now.area / usual - 1) <= ANCHOR_AREA_CHANGE


def quantile(values: Sequence[float], share: float) -> float:
    """The value that a share of the values lies below; minus infinity of none."""
    return sorted(values)[int(share * len(values))] if values else -math.inf


POLICIES = {"official": Official, "steady": Steady, "anchored": Anchored}


def choose_policy(memory: str | None) -> MemoryPolicy:
    """The policy of a memory's name; that of the paper where the name has none of its own."""
    return POLICIES.get(memory, Official)()
