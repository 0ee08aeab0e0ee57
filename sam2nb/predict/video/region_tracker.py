"""Search-region tracking: a region around the last mask, and the whole frame when in doubt.

Every object has two memory banks. `bank` holds what its masks were made from, mostly in regions; `wide` holds memories
of the whole frame alone, from the looks around, because an object is of another size there. The rules are in `search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from sam2nb.masks.measure import iou
from sam2nb.model.memory_bank import MemoryBank, MemoryChoice
from sam2nb.predict.regions import move_logits, region_around
from sam2nb.predict.video.policies import history, is_mistaken
from sam2nb.predict.video.search import (
    believe_frame,
    choose_looks,
    choose_region,
    forgettable_looks,
    group_regions,
    must_look_around,
)
from sam2nb.predict.video.session import FramePrompt, ObjectPrediction, ObjectTrack, Sighting, VideoSession
from sam2nb.predict.video.tracker import Tracker
from sam2nb.structures import WHOLE_FRAME, Region


@dataclass
class RegionTracker(Tracker):
    """Track objects in regions of the frame, and in the whole frame from time to time."""

    search: ClassVar[str] = "region"

    def _answer(
        self, session: VideoSession, track: ObjectTrack, frame: int, prompt: FramePrompt
    ) -> tuple[ObjectPrediction, None]:
        """Predict in the whole frame, and again in the region around the answer."""
        prediction = self._predict_prompted(session, track, frame, prompt, WHOLE_FRAME)
        [facts] = self._facts(prediction)
        region = region_around(facts.box, session.size_hw) if facts.area else WHOLE_FRAME
        if region != WHOLE_FRAME:
            prediction = self._predict_prompted(session, track, frame, prompt, region)
        return prediction, None

    @torch.no_grad()
    def settle(self, session: VideoSession) -> None:
        for track in session.objects.values():
            for frame, pending in sorted(track.pending.items()):
                prediction = pending.stored(self.model.device)
                logits = move_logits(prediction.mask_logits, prediction.region, WHOLE_FRAME)
                whole = replace(prediction, mask_logits=logits, region=WHOLE_FRAME)
                track.wide.prompted[frame] = self._memorize_prompted(session, frame, whole)
                track.wide.tracked.pop(frame, None)
        super().settle(session)

    def _track(self, session: VideoSession, frame: int, tracks: Sequence[ObjectTrack], reverse: bool) -> None:
        for region, members in self._regions(session, frame, tracks, reverse):
            if region == WHOLE_FRAME:
                sightings = self._look_around(session, frame, members, reverse)
            else:
                sightings = self._look(session, frame, region, members, reverse)
            for seen in sightings:
                self._keep(frame, seen, reverse)
        again = [t for t in tracks if must_look_around(frame, t.facts[frame], history(frame, t.facts, reverse))]
        for seen in self._look_around(session, frame, again, reverse):
            part, before = seen.track.bank.tracked[frame], history(frame, seen.track.facts, reverse)
            moved = move_logits(part.mask_logits, part.region, WHOLE_FRAME)
            agreement = float(iou(moved > 0, seen.memory.mask_logits > 0))
            if believe_frame(seen.facts, seen.track.facts[frame], agreement, before):
                self._keep(frame, seen, reverse)

    def _look_around(
        self, session: VideoSession, frame: int, tracks: Sequence[ObjectTrack], reverse: bool
    ) -> Iterator[Sighting]:
        """Look for objects in the whole frame; what is taken for another thing is not remembered, see `policies`."""
        for seen in self._look(session, frame, WHOLE_FRAME, tracks, reverse):
            if is_mistaken(seen.facts, history(frame, seen.track.facts, reverse)):
                yield seen._replace(facts=seen.facts.as_mistaken())
            else:
                seen.track.wide.tracked[frame] = seen.memory
                yield seen

    def forget_before(self, session: VideoSession, frame: int) -> None:
        super().forget_before(session, frame)
        for track in session.objects.values():
            wide, limit = track.wide, session.max_prompted
            wide.forget(*forgettable_looks(frame, wide.prompted, wide.tracked, max_prompted=limit))

    def _regions(
        self, session: VideoSession, frame: int, tracks: Sequence[ObjectTrack], reverse: bool
    ) -> Iterator[tuple[Region, list[ObjectTrack]]]:
        """Regions to look at, and the objects to look for in each."""
        if session.cuts.shot_start(frame, reverse) == frame:  # another scene: the object may be anywhere
            yield WHOLE_FRAME, list(tracks)
            return
        wanted = [choose_region(history(frame, track.facts, reverse), session.size_hw) for track in tracks]
        encoded = group_regions(wanted, session.size_hw)
        for region in dict.fromkeys(encoded.values()):
            yield region, [track for track, own in zip(tracks, wanted, strict=True) if encoded[own] == region]

    def _bank(self, track: ObjectTrack, region: Region) -> MemoryBank:
        return track.wide if region == WHOLE_FRAME else track.bank

    def _choose(
        self, session: VideoSession, track: ObjectTrack, frame: int, region: Region, reverse: bool
    ) -> MemoryChoice:
        if region != WHOLE_FRAME:
            return super()._choose(session, track, frame, region, reverse)
        return choose_looks(
            frame,
            track.wide.prompted,
            track.wide.tracked,
            num_frames=session.num_frames,
            reverse=reverse,
            num_maskmem=session.num_maskmem,
            max_prompted=session.max_prompted,
        )
