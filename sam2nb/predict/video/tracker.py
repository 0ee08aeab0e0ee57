"""The tracking engine: prompt, settle, track, result (SAM 2, arXiv 2408.00714, section 4).

Each frame goes through the model in the order of the paper's figure 3: encode the image, recall the memories and
predict masks, memorize them. The last two are the memory's (`memory.py`).

Differs from the official package: objects that attend to the same frames run as one batch; a correction on a tracked
frame stays a condition for all others; holes are filled on every device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sam2nb.masks.regions import clean_masks, separate
from sam2nb.media.video import FrameSource, ModelInputs
from sam2nb.model.memory_bank import MemoryChoice
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.precision import autocast_for, in_precision_of, require_predicting
from sam2nb.predict.regions import (
    boxes_in_region,
    mask_in_region,
    masks_to_frame,
    move_logits,
    pixels_of,
    region_around,
)
from sam2nb.predict.video.closer import look_closer_at, on_frame
from sam2nb.predict.video.facts import Facts, facts_of
from sam2nb.predict.video.memory import VideoMemory
from sam2nb.predict.video.policies import MemoryPolicy, Official, history
from sam2nb.predict.video.prompts import join_points
from sam2nb.predict.video.search import choose_region, is_better, is_unsure
from sam2nb.predict.video.session import (
    FramePrompt,
    FrameResult,
    ObjectId,
    ObjectPrediction,
    ObjectTrack,
    VideoSession,
)
from sam2nb.structures import MASK_LOGIT_CLAMP, NO_OBJECT_LOGIT, WHOLE_FRAME, ImageFeatures, Prompts, Region

FILL_HOLE_AREA = 8  # pixels of the low-resolution mask, as in the official post-processing
OBJECTS_AT_ONCE = 16  # in one batch
AMBIGUOUS_POINTS = 1  # up to this many points (a box is two) give three masks, of which the best is kept


@dataclass
class Tracker:
    """Track the objects of a session. Holds the model, its memory and options, and no state of a video.

    `prompt`, `settle` and `track` write their outcome into the session and return None; `result` reads the session and
    changes nothing. The features of the frame encoded last are kept in `session.encoded`.

    fill_hole_area, max_sprinkle_area: holes and islands of up to this many pixels of the low-resolution mask (a quarter
    of the input's side) are filled and dropped. non_overlap_masks: every pixel of a result belongs to one object at
    most. binarize_prompted: the memory of a prompted frame takes its mask as certain. closer: answer clicks and boxes
    on small objects again on a crop, see `closer`; a search region does that anyway.
    """

    model: SAM2
    memory: VideoMemory
    policy: MemoryPolicy = field(default_factory=Official)
    search: str = "frame"
    fill_hole_area: int = FILL_HOLE_AREA
    max_sprinkle_area: int = 0
    non_overlap_masks: bool = False
    binarize_prompted: bool = True
    closer: bool = False

    def open(
        self,
        frames: FrameSource,
        num_frames: int | None,
        storage: torch.device | None = None,
        max_prompted: int | None = None,
    ) -> VideoSession:
        """A session without objects.

        num_frames: None for a stream. storage: where memories are kept, None for the model's device.
        """
        return VideoSession(
            inputs=ModelInputs(frames, self.model.image_size, self.model.device),
            num_frames=num_frames,
            storage=storage or self.model.device,
            num_maskmem=self.model.num_maskmem,
            max_prompted=max_prompted,
        )

    @torch.no_grad()
    def prompt(
        self, session: VideoSession, frame: int, obj_id: ObjectId, prompt: FramePrompt, join: bool = False
    ) -> None:
        """Predict an object from a prompt; the prediction is pending until `settle`.

        On a frame that tracking has passed this is a correction: the model also attends to the memories. The latest
        prediction on the frame goes back in with the points.

        join: add the points to those already on the frame instead of replacing them.
        Raises TypeError or ValueError, and changes nothing, for a frame outside the video or a box joined to points.
        """
        frame = session.check_frame(frame)
        if isinstance(obj_id, Tensor):
            raise TypeError(f"obj_id must be a number or a name, got {obj_id!r}: use int(obj_id)")
        track = session.objects.get(obj_id, ObjectTrack())
        if join:
            prompt = join_points(track.prompts.get(frame), prompt)
        prediction = self._predict_prompted(session, track, frame, prompt, WHOLE_FRAME)
        look = None
        if self.closer and prompt.points is not None and self.search == "frame":
            earlier = self._earlier_logits(track, frame, WHOLE_FRAME)
            look = look_closer_at(self.model, session, frame, prompt, earlier, prediction)
        if look is not None:
            look = self._cleaned(look)
            prediction = on_frame(look)
        [facts] = self._facts(prediction)
        if self.search == "region":
            region = region_around(facts.box, session.size_hw) if facts.area else WHOLE_FRAME
            if region != WHOLE_FRAME:
                prediction = self._predict_prompted(session, track, frame, prompt, region)
                [facts] = self._facts(prediction)
        track.pending[frame] = prediction.stored(session.storage)
        track.closer.pop(frame, None)
        if look is not None:
            track.closer[frame] = look.stored(session.storage)
        track.facts[frame] = facts
        track.prompts[frame] = prompt
        session.objects[obj_id] = track  # only now, so that a failure leaves no half-made object

    def _predict_prompted(
        self, session: VideoSession, track: ObjectTrack, frame: int, prompt: FramePrompt, region: Region
    ) -> ObjectPrediction:
        features = self._encode(session, frame, region)
        with autocast_for(self.model):
            if prompt.mask is not None:
                mask = mask_in_region(prompt.mask, region, self.model.image_size)
                return self._cleaned(self.memory.predict_from_mask(features, mask))
            choice = self._choice_for_correction(session, track, frame)
            points = prompt.points
            if region != WHOLE_FRAME:
                points = boxes_in_region(points / self.model.image_size, region) * self.model.image_size
            prompts = Prompts(points, prompt.labels, self._earlier_logits(track, frame, region))
            ambiguous = prompt.labels.shape[1] <= AMBIGUOUS_POINTS
            return self._cleaned(self.memory.predict_from_points(features, prompts, ambiguous, track.bank, choice))

    @torch.no_grad()
    def settle(self, session: VideoSession) -> None:
        """Memorize the pending predictions; from now on all other frames attend to them."""
        tracks = session.objects.values()
        for frame in sorted({frame for track in tracks for frame in track.pending}):
            for track in [track for track in tracks if frame in track.pending]:
                prediction = track.pending[frame].stored(self.model.device)
                features = self._encode(session, frame, prediction.region)
                with autocast_for(self.model):
                    memory = self.memory.memorize(features, prediction, self.binarize_prompted)
                track.bank.prompted[frame] = memory.stored(session.storage)
                track.bank.tracked.pop(frame, None)
                del track.pending[frame]

    @torch.no_grad()
    def track(self, session: VideoSession, frame: int, reverse: bool = False) -> None:
        """Predict and memorize all objects on one frame, in batches of those that attend to the same frames.

        An object with a prompt on this frame keeps the prediction from it. reverse: tracking runs backwards in time.
        """
        tracks = session.objects.values()
        unprompted = [track for track in tracks if frame not in track.bank.prompted]
        for region, members in self._regions(session, unprompted, frame, reverse):
            self._track_in(session, frame, region, members, reverse)
        if self.search == "region":
            unsure = [t for t in unprompted if is_unsure(t.facts[frame], history(frame, t.facts, reverse))]
            self._track_in(session, frame, WHOLE_FRAME, unsure, reverse, again=True)
        for track in tracks:
            track.directions[frame] = reverse

    def _regions(self, session, tracks, frame, reverse):
        groups: dict[Region, list[ObjectTrack]] = {}
        for track in tracks:
            region = WHOLE_FRAME
            if self.search == "region":
                region = choose_region(history(frame, track.facts, reverse), session.size_hw)
            groups.setdefault(region, []).append(track)
        return groups.items()

    def _track_in(self, session, frame, region, tracks, reverse, again=False):
        if not tracks:
            return
        features = self._encode(session, frame, region)
        for choice, batch in self._batches(session, tracks, frame, reverse):
            with autocast_for(self.model):
                prediction = self.memory.predict_tracked(features, [track.bank for track in batch], choice)
                memory = self.memory.memorize(features, prediction, from_prompt=False)
            prediction = self._cleaned(prediction)
            memory = replace(memory, mask_logits=prediction.mask_logits).stored(session.storage)
            for track, own, facts in zip(batch, memory.split(), self._facts(prediction), strict=True):
                if again and not is_better(facts, track.facts[frame]):
                    continue
                track.bank.tracked[frame] = own
                track.closer.pop(frame, None)
                track.facts[frame] = self.policy.judge(frame, facts, track.facts, reverse)

    def result(self, session: VideoSession, frame: int) -> FrameResult:
        """The masks of all objects on a frame, at the video's size; an object without a prediction there is absent."""
        device, size_hw = self.model.device, session.size_hw
        absent = torch.full((1, 1, *size_hw), NO_OBJECT_LOGIT, device=device)
        masks, facts = [], []
        for track in session.objects.values():
            found = track.shown_at(frame)
            masks.append(
                absent if found is None else masks_to_frame(found.mask_logits.to(device), found.region, size_hw)
            )
            facts.append(track.facts.get(frame) if found is not None else None)
        if not masks:
            return FrameResult(frame, [], absent[:0])
        joined = torch.cat(masks)
        return FrameResult(
            frame,
            session.obj_ids,
            separate(joined) if self.non_overlap_masks else joined,
            [float("nan") if known is None else known.quality for known in facts],
            [float("nan") if known is None else known.presence for known in facts],
            [track.name for track in session.objects.values()],
        )

    def _encode(self, session: VideoSession, frame: int, region: Region = WHOLE_FRAME) -> ImageFeatures:
        """Encode a region of a frame; the features are kept, because more prompts often come on the same frame."""
        known = session.encoded
        if known is None or known[0] != frame or known[1].region != region:
            pixels = (
                session.inputs[frame]
                if region == WHOLE_FRAME
                else session.inputs.part(frame, *pixels_of(region, session.size_hw))
            )
            session.encoded = known = None  # frees the old features before the new ones are made
            require_predicting(self.model)
            with autocast_for(self.model):
                session.encoded = (frame, replace(self.model.encode_image(pixels), region=region))
        session.encoded = (frame, in_precision_of(self.model, session.encoded[1]))
        return session.encoded[1]

    def _cleaned(self, prediction: ObjectPrediction) -> ObjectPrediction:
        """Fill holes and drop islands."""
        logits = clean_masks(prediction.mask_logits.float(), self.fill_hole_area, self.max_sprinkle_area)
        return replace(prediction, mask_logits=logits)

    def _facts(self, prediction: ObjectPrediction) -> list[Facts]:
        candidates = prediction.candidates if self.policy.looks_for_distractors else None
        return facts_of(
            prediction.mask_logits, prediction.object_score, prediction.quality, prediction.region, candidates
        )

    def _earlier_logits(self, track: ObjectTrack, frame: int, region: Region) -> Tensor | None:
        """The latest prediction on a frame as a mask prompt."""
        earlier = track.prediction_at(frame)
        if earlier is None:
            return None
        logits = move_logits(earlier.mask_logits.to(self.model.device), earlier.region, region)
        return logits.clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)

    def _batches(
        self, session: VideoSession, tracks: Sequence[ObjectTrack], frame: int, reverse: bool
    ) -> Iterator[tuple[MemoryChoice, Sequence[ObjectTrack]]]:
        """Objects in batches that attend to the same frames, seen in the same regions."""
        groups: dict[tuple, list[ObjectTrack]] = {}
        for track in tracks:
            choice = self._choose(session, track, frame, reverse)
            regions = tuple(track.bank[other].region for other, _ in choice.spatial)
            groups.setdefault((choice, regions), []).append(track)
        for (choice, _), members in groups.items():
            for start in range(0, len(members), OBJECTS_AT_ONCE):
                yield choice, members[start : start + OBJECTS_AT_ONCE]

    def _choose(self, session: VideoSession, track: ObjectTrack, frame: int, reverse: bool) -> MemoryChoice:
        """The frames that an object attends to on `frame`."""
        return self.policy.choose(
            frame,
            track.bank.prompted,
            track.bank.tracked,
            track.facts,
            num_frames=session.num_frames,
            reverse=reverse,
            num_maskmem=session.num_maskmem,
            max_prompted=session.max_prompted,
        )

    def _choice_for_correction(self, session: VideoSession, track: ObjectTrack, frame: int) -> MemoryChoice | None:
        """The memories of a frame that tracking has passed, in the direction in which it did; None on other frames."""
        if frame not in track.directions or not track.bank.prompted:
            return None
        return self._choose(session, track, frame, track.directions[frame])
