"""The tracking engine: prompt, settle, track, result (SAM 2, arXiv 2408.00714, section 4).

Each frame goes through the model in the order of the paper's figure 3: encode the image, recall the memories and
predict masks, memorize them. The last two are the memory's (`memory.py`).

Differs from the official package: objects that attend to the same frames run as one batch; a correction on a tracked
frame stays a condition for all others; holes are filled on every device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from sam2nb.masks.regions import clean_masks
from sam2nb.media.video import FrameSource, ModelInputs
from sam2nb.model.memory_bank import MemoryBank, MemoryChoice
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.precision import computing, in_precision_of, require_predicting
from sam2nb.predict.regions import boxes_in_region, mask_in_region, move_logits, pixels_of
from sam2nb.predict.video.closer import look_closer_at, on_frame
from sam2nb.predict.video.facts import Facts, facts_of
from sam2nb.predict.video.memory import VideoMemory, in_batches
from sam2nb.predict.video.motion import choose_by_motion, expected_box
from sam2nb.predict.video.policies import HISTORY, MemoryPolicy, Official
from sam2nb.predict.video.prompts import join_points
from sam2nb.predict.video.results import frame_result
from sam2nb.predict.video.session import (
    FramePrompt,
    FrameResult,
    Memory,
    ObjectId,
    ObjectPrediction,
    ObjectTrack,
    Sighting,
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
    on small objects again on a crop, see `closer`. cuts: look for scene cuts, which the policy is told of.
    motion: let the speed of an object count in the choice among three masks, see `motion`.

    Looks for objects in the whole frame; `RegionTracker` looks in parts of it.
    """

    search: ClassVar[str] = "frame"  # the name of this way to look for objects

    model: SAM2
    memory: VideoMemory
    policy: MemoryPolicy = field(default_factory=Official)
    fill_hole_area: int = FILL_HOLE_AREA
    max_sprinkle_area: int = 0
    non_overlap_masks: bool = False
    binarize_prompted: bool = True
    closer: bool = False
    cuts: bool = False
    motion: bool = False

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
        prediction, look = self._answer(session, track, frame, prompt)
        track.pending[frame] = prediction.stored(session.storage)
        track.closer.pop(frame, None)
        if look is not None:
            track.closer[frame] = look.stored(session.storage)
        [track.facts[frame]] = self._facts(prediction)
        track.prompts[frame] = prompt
        session.objects[obj_id] = track  # only now, so that a failure leaves no half-made object

    def _answer(
        self, session: VideoSession, track: ObjectTrack, frame: int, prompt: FramePrompt
    ) -> tuple[ObjectPrediction, ObjectPrediction | None]:
        """The prediction from a prompt, and the second look at it where there is one."""
        prediction = self._predict_prompted(session, track, frame, prompt, WHOLE_FRAME)
        if not self.closer or prompt.points is None:
            return prediction, None
        earlier = self._earlier_logits(track, frame, WHOLE_FRAME)
        look = look_closer_at(self.model, session, frame, prompt, earlier, prediction)
        if look is None:
            return prediction, None
        look = self._cleaned(look)
        return on_frame(look), look

    def _predict_prompted(
        self, session: VideoSession, track: ObjectTrack, frame: int, prompt: FramePrompt, region: Region
    ) -> ObjectPrediction:
        features = self._encode(session, frame, region)
        with computing(self.model):
            if prompt.mask is not None:
                mask = mask_in_region(prompt.mask, region, self.model.image_size)
                return self._cleaned(self.memory.predict_from_mask(features, mask))
            choice = self._choice_for_correction(session, track, frame, region)
            points = prompt.points
            if region != WHOLE_FRAME:
                points = boxes_in_region(points / self.model.image_size, region) * self.model.image_size
            prompts = Prompts(points, prompt.labels, self._earlier_logits(track, frame, region))
            ambiguous = prompt.labels.shape[1] <= AMBIGUOUS_POINTS
            bank = self._bank(track, region)
            return self._cleaned(self.memory.predict_from_points(features, prompts, ambiguous, bank, choice))

    @torch.no_grad()
    def settle(self, session: VideoSession) -> None:
        """Memorize the pending predictions; from now on all other frames attend to them."""
        tracks = session.objects.values()
        for frame in sorted({frame for track in tracks for frame in track.pending}):
            for track in [track for track in tracks if frame in track.pending]:
                prediction = track.pending[frame].stored(self.model.device)
                track.bank.prompted[frame] = self._memorize_prompted(session, frame, prediction)
                track.bank.tracked.pop(frame, None)
                del track.pending[frame]

    @torch.no_grad()
    def track(self, session: VideoSession, frame: int, reverse: bool = False) -> None:
        """Predict and memorize all objects on one frame, in batches of those that attend to the same frames.

        An object with a prompt on this frame keeps the prediction from it. reverse: tracking runs backwards in time.
        """
        tracks = session.objects.values()
        if self.cuts:
            session.cuts.show(frame, session.frames[frame])
        self._track(session, frame, [track for track in tracks if frame not in track.bank.prompted], reverse)
        for track in tracks:
            track.directions[frame] = reverse

    def _track(self, session: VideoSession, frame: int, tracks: Sequence[ObjectTrack], reverse: bool) -> None:
        for seen in self._look(session, frame, WHOLE_FRAME, tracks, reverse):
            self._keep(frame, seen, reverse)

    def _look(
        self, session: VideoSession, frame: int, region: Region, tracks: Sequence[ObjectTrack], reverse: bool
    ) -> Iterator[Sighting]:
        """Predict objects in a region of a frame, and make memories of the predictions."""
        features = self._encode(session, frame, region) if tracks else None
        attending = [
            (track, self._bank(track, region), self._choose(session, track, frame, region, reverse)) for track in tracks
        ]
        for choice, batch, banks in in_batches(attending, OBJECTS_AT_ONCE):
            with computing(self.model):
                prediction = self.memory.predict_tracked(features, banks, choice)
                if self.motion:
                    expected = [expected_box(frame, track.facts, reverse) for track in batch]
                    prediction = self.memory.choose_mask(prediction, choose_by_motion(prediction, expected))
                memory = self.memory.memorize(features, prediction, from_prompt=False)
            prediction = self._cleaned(prediction)
            memory = replace(memory, mask_logits=prediction.mask_logits).stored(session.storage)
            yield from map(Sighting, batch, memory.split(), self._facts(prediction))

    def _keep(self, frame: int, seen: Sighting, reverse: bool) -> None:
        """Take what was seen as the object's mask and memory on a frame, unless the policy says it is another thing."""
        facts, memory = self.policy.judge(frame, seen.facts, seen.track.facts, reverse), seen.memory
        if facts.mistaken:
            memory = replace(memory, mask_logits=torch.full_like(memory.mask_logits, NO_OBJECT_LOGIT))
        seen.track.bank.tracked[frame] = memory
        seen.track.closer.pop(frame, None)
        seen.track.facts[frame] = facts

    def _memorize_prompted(self, session: VideoSession, frame: int, prediction: ObjectPrediction) -> Memory:
        features = self._encode(session, frame, prediction.region)
        with computing(self.model):
            return self.memory.memorize(features, prediction, self.binarize_prompted).stored(session.storage)

    def _bank(self, track: ObjectTrack, region: Region) -> MemoryBank:
        """The memories that an object attends to when it is looked for in a region."""
        return track.bank

    def forget_before(self, session: VideoSession, frame: int) -> None:
        """Drop whatever a stream that has reached `frame` cannot read any more."""
        for track in session.objects.values():
            prompted, tracked = self.policy.forgettable(
                frame,
                track.bank.prompted,
                track.bank.tracked,
                track.facts,
                num_maskmem=session.num_maskmem,
                max_prompted=session.max_prompted,
                shot_start=session.cuts.shot_start(frame),
            )
            track.bank.forget(prompted, tracked)
            track.forget_before(frame)
        session.cuts.forget_before(frame - HISTORY)

    def result(self, session: VideoSession, frame: int) -> FrameResult:
        """The masks of all objects on a frame, at the video's size; an object without a prediction there is absent."""
        return frame_result(session, frame, self.model.device, self.non_overlap_masks)

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
            with computing(self.model):
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

    def _choose(
        self, session: VideoSession, track: ObjectTrack, frame: int, region: Region, reverse: bool
    ) -> MemoryChoice:
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
            shot_start=session.cuts.shot_start(frame, reverse),
        )

    def _choice_for_correction(
        self, session: VideoSession, track: ObjectTrack, frame: int, region: Region
    ) -> MemoryChoice | None:
        """The memories of a frame that tracking has passed, in the direction in which it did; None on other frames."""
        if frame not in track.directions or not track.bank.prompted:
            return None
        return self._choose(session, track, frame, region, track.directions[frame])
