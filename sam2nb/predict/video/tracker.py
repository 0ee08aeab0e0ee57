"""The tracking engine: prompt, settle, track, result (SAM 2, arXiv 2408.00714, section 4).

Each frame goes through the model in the order of the paper's figure 3: encode the image, recall the memories and
predict masks, memorize them. The last two are the memory's (`memory.py`).

Differs from the official package: objects that attend to the same frames run as one batch; a correction on a tracked
frame stays a condition for all others; holes are filled on every device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2nb.masks.regions import clean_masks, separate
from sam2nb.media.images import masks_to_image
from sam2nb.media.video import FrameSource, ModelInputs
from sam2nb.model.memory_bank import MemoryChoice, choose_memories
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.precision import autocast_for
from sam2nb.predict.video.memory import VideoMemory
from sam2nb.predict.video.prompts import join_points
from sam2nb.predict.video.session import (
    FramePrompt,
    FrameResult,
    ObjectId,
    ObjectPrediction,
    ObjectTrack,
    VideoSession,
)
from sam2nb.structures import (
    MASK_LOGIT_CLAMP,
    MASK_STRIDE,
    NO_OBJECT_LOGIT,
    ImageFeatures,
    Prompts,
)

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
    most. binarize_prompted: the memory of a prompted frame takes its mask as certain.
    """

    model: SAM2
    memory: VideoMemory
    fill_hole_area: int = FILL_HOLE_AREA
    max_sprinkle_area: int = 0
    non_overlap_masks: bool = False
    binarize_prompted: bool = True

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
        session.check_frame(frame)
        track = session.objects.get(obj_id, ObjectTrack())
        if join:
            prompt = join_points(track.prompts.get(frame), prompt)
        features = self._encode(session, frame)
        with autocast_for(self.model):
            if prompt.mask is not None:
                prediction = self.memory.predict_from_mask(features, prompt.mask)
            else:
                choice = _choice_for_correction(session, track, frame)
                prompts = Prompts(prompt.points, prompt.labels, self._earlier_logits(track, frame))
                ambiguous = prompt.labels.shape[1] <= AMBIGUOUS_POINTS
                prediction = self.memory.predict_from_points(features, prompts, ambiguous, track.bank, choice)
        track.pending[frame] = self._cleaned(prediction, session.storage)
        track.prompts[frame] = prompt
        session.objects[obj_id] = track  # only now, so that a failure leaves no half-made object

    @torch.no_grad()
    def settle(self, session: VideoSession) -> None:
        """Memorize the pending predictions; from now on all other frames attend to them."""
        tracks = session.objects.values()
        for frame in sorted({frame for track in tracks for frame in track.pending}):
            features = self._encode(session, frame)
            for track in [track for track in tracks if frame in track.pending]:
                prediction = track.pending[frame].stored(self.model.device)
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
        features = self._encode(session, frame) if unprompted else None
        for choice, batch in _batches(session, unprompted, frame, reverse):
            with autocast_for(self.model):
                prediction = self.memory.predict_tracked(features, [track.bank for track in batch], choice)
                memory = self.memory.memorize(features, prediction, from_prompt=False)
            logits = self._cleaned(prediction, session.storage).mask_logits
            memory = replace(memory.stored(session.storage), mask_logits=logits)
            for track, own in zip(batch, memory.split(), strict=True):
                track.bank.tracked[frame] = own
        for track in tracks:
            track.directions[frame] = reverse

    def result(self, session: VideoSession, frame: int) -> FrameResult:
        """The masks of all objects on a frame, at the video's size; an object without a prediction there is absent."""
        side = self.model.image_size // MASK_STRIDE
        absent = torch.full((1, 1, side, side), NO_OBJECT_LOGIT, device=self.model.device)
        predictions = [track.prediction_at(frame) for track in session.objects.values()]
        rows = [absent if found is None else found.mask_logits.to(absent.device) for found in predictions]
        if not rows:
            return FrameResult(frame, [], absent.new_zeros(0, 1, *session.size_hw))
        masks = masks_to_image(torch.cat(rows), session.size_hw)
        return FrameResult(frame, session.obj_ids, separate(masks) if self.non_overlap_masks else masks)

    def _encode(self, session: VideoSession, frame: int) -> ImageFeatures:
        """Encode a frame; the features are kept, because more prompts often come on the same frame."""
        if session.encoded is None or session.encoded[0] != frame:
            pixels = session.inputs[frame]
            session.encoded = None  # frees the old features before the new ones are made
            with autocast_for(self.model):
                session.encoded = (frame, self.model.encode_image(pixels))
        return session.encoded[1]

    def _cleaned(self, prediction: ObjectPrediction, storage: torch.device) -> ObjectPrediction:
        """Fill holes and drop islands, and move the masks to where memories are kept."""
        logits = clean_masks(prediction.mask_logits.float(), self.fill_hole_area, self.max_sprinkle_area)
        return replace(prediction, mask_logits=logits.to(storage))

    def _earlier_logits(self, track: ObjectTrack, frame: int) -> Tensor | None:
        """The latest prediction on a frame as a mask prompt."""
        earlier = track.prediction_at(frame)
        if earlier is None:
            return None
        return earlier.mask_logits.to(self.model.device).clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)


def _batches(
    session: VideoSession, tracks: Sequence[ObjectTrack], frame: int, reverse: bool
) -> Iterator[tuple[MemoryChoice, Sequence[ObjectTrack]]]:
    """Objects in batches that attend to the same frames."""
    groups: dict[MemoryChoice, list[ObjectTrack]] = {}
    for track in tracks:
        groups.setdefault(_choose(session, track, frame, reverse), []).append(track)
    for choice, members in groups.items():
        for start in range(0, len(members), OBJECTS_AT_ONCE):
            yield choice, members[start : start + OBJECTS_AT_ONCE]


def _choose(session: VideoSession, track: ObjectTrack, frame: int, reverse: bool) -> MemoryChoice:
    """The frames that an object attends to on `frame`."""
    return choose_memories(
        frame,
        track.bank.prompted,
        track.bank.tracked,
        num_frames=session.num_frames,
        reverse=reverse,
        num_maskmem=session.num_maskmem,
        max_prompted=session.max_prompted,
    )


def _choice_for_correction(session: VideoSession, track: ObjectTrack, frame: int) -> MemoryChoice | None:
    """The memories of a frame that tracking has passed, in the direction in which it passed; None on other frames."""
    if frame not in track.directions or not track.bank.prompted:
        return None
    return _choose(session, track, frame, track.directions[frame])
