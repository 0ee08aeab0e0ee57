"""One step of tracking: what the model does on one frame, for one prompt or for a group of objects.

The verbs of SAM 2 in their order (arXiv 2408.00714, figure 3): encode the frame, recall, predict, memorize.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.masks.regions import clean_masks
from sam2nb.media.images import to_video_input
from sam2nb.model.memory_bank import MemoryChoice, recollect
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.precision import autocast_for
from sam2nb.predict.video.session import FramePrompt, ObjectTrack, PendingAnswer, VideoSession
from sam2nb.structures import (
    MASK_LOGIT_CLAMP,
    NO_OBJECT_LOGIT,
    FrameMemory,
    ImageFeatures,
    MaskPrediction,
    Prompts,
    Recollection,
)

FEW_POINTS = 1  # with so few points (a box is two) the prompt is ambiguous: three masks, the best is kept


@dataclass(frozen=True)
class VideoSteps:
    """A model and how its masks are cleaned. Reads a session and hands back answers; see `SAM2VideoPredictor`."""

    model: SAM2
    fill_hole_area: int
    max_sprinkle_area: int
    binarize_prompted: bool

    @torch.no_grad()
    def track_together(
        self, session: VideoSession, frame: int, choice: MemoryChoice, tracks: Sequence[ObjectTrack]
    ) -> None:
        """Objects whose memories lie on the same frames answer as one batch, and the answers become memories."""
        features = self._features(session, frame)
        with autocast_for(self.model):
            conditioned = self.model.recall(features, recollect([track.bank for track in tracks], choice))
            prediction = self._predict(
                features, conditioned, Prompts.padding(len(tracks), self.model.device), multimask=True
            )
            pointer = self.model.object_pointer(prediction.tokens[:, 0], prediction.object_score)
            large = self._enlarge(prediction.logits)
            spatial = self.model.memorize(features, large, prediction.object_score, from_prompt=False)
        logits = clean_masks(prediction.logits, self.fill_hole_area, self.max_sprinkle_area)
        memory = FrameMemory(spatial.to(session.storage), pointer, prediction.object_score, logits.to(session.storage))
        for row, track in enumerate(tracks):
            track.bank.tracked[frame] = _own_row(memory, row, len(tracks))

    @torch.no_grad()
    def answer(self, session: VideoSession, track: ObjectTrack, frame: int, prompt: FramePrompt) -> PendingAnswer:
        """The model's answer to a prompt, with the memories where the frame has been tracked."""
        features = self._features(session, frame)
        with autocast_for(self.model):
            if prompt.mask is not None:
                prediction, pointer = self.model.predict_from_mask(features, prompt.mask)
            else:
                conditioned = self.model.recall(features, self._memories_for_correction(session, track, frame))
                prompts = Prompts(prompt.points, prompt.labels, self._earlier_logits(track, frame))
                few = prompt.labels.shape[1] <= FEW_POINTS
                prediction = self._predict(features, conditioned, prompts, multimask=few)
                pointer = self.model.object_pointer(prediction.tokens[:, 0], prediction.object_score)
        logits = clean_masks(prediction.logits.float(), self.fill_hole_area, self.max_sprinkle_area)
        return PendingAnswer(pointer, prediction.object_score, logits.to(session.storage))

    def _memories_for_correction(self, session: VideoSession, track: ObjectTrack, frame: int) -> Recollection | None:
        """A frame that tracking has passed is seen with its memories, in the direction in which it was passed."""
        if frame not in track.directions or not track.bank.prompted:
            return None
        return recollect([track.bank], session.choose(track, frame, track.directions[frame]))

    def _earlier_logits(self, track: ObjectTrack, frame: int) -> Tensor | None:
        earlier = track.answer_at(frame)
        if earlier is None:
            return None
        return earlier.mask_logits.to(self.model.device).clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)

    @torch.no_grad()
    def memorize_prompt(self, session: VideoSession, frame: int, answer: PendingAnswer) -> FrameMemory:
        """An answer that will not change any more becomes a memory."""
        features = self._features(session, frame)
        with autocast_for(self.model):
            large = self._enlarge(answer.mask_logits.to(self.model.device))
            spatial = self.model.memorize(features, large, answer.object_score, from_prompt=self.binarize_prompted)
        return FrameMemory(spatial.to(session.storage), answer.pointer, answer.object_score, answer.mask_logits)

    def _features(self, session: VideoSession, frame: int) -> ImageFeatures:
        """A frame through the image encoder; the last one is kept, because prompts come again on the same frame."""
        if session.encoded is None or session.encoded[0] != frame:
            pixels = to_video_input(session.frames[frame], self.model.image_size, self.model.device)
            session.encoded = None  # the old one is not needed while the new one is made
            with autocast_for(self.model):
                session.encoded = (frame, self.model.encode_image(pixels))
        return session.encoded[1]

    def _predict(
        self, features: ImageFeatures, conditioned: Tensor, prompts: Prompts, multimask: bool
    ) -> MaskPrediction:
        """The best answer, with nothing drawn where the object is not in the picture: M = 1, logits float32"""
        prediction = self.model.predict_masks(conditioned, features.high_res, prompts, multimask)
        best = self.model.choose_best(prediction) if multimask else prediction
        there = (best.object_score > 0)[..., None, None]
        return replace(best, logits=torch.where(there, best.logits, NO_OBJECT_LOGIT).float())

    def _enlarge(self, logits: Tensor) -> Tensor:
        """(B, 1, S/4, S/4) -> (B, 1, S, S)"""
        side = self.model.image_size
        return F.interpolate(logits.float(), (side, side), mode="bilinear", align_corners=False)


def _own_row(memory: FrameMemory, row: int, count: int) -> FrameMemory:
    """One object's part of a batch, in memory of its own, so that it can be dropped alone."""
    if count == 1:
        return memory
    parts = (memory.features, memory.pointer, memory.object_score, memory.mask_logits)
    return FrameMemory(*(part[row : row + 1].clone() for part in parts))
