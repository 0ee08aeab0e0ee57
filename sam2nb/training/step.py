"""One training step: a batch in, losses out, for features, stills and clips.

- features: the trunk imitates the teacher's features (distillation).
- stills: a box or a click, then clicks where the prediction is wrong (SAM 2, arXiv 2408.00714, section 4 "training").
- clips: the first frame is prompted (mask, box or click), the others are tracked through the memory bank.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.mask_decoder import hide_absent, take_best
from sam2nb.model.memory_bank import MemoryBank, MemoryChoice, choose_memories, recollect
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import MASK_STRIDE, FrameMemory, ImageFeatures, MaskPrediction, Prompts
from sam2nb.training.data.batches import ClipBatch, StillBatch, TeacherFeatures
from sam2nb.training.losses import averaged, feature_loss, mask_losses
from sam2nb.training.phase import Phase
from sam2nb.training.simulated_user import boxes_around, correct, first_clicks

FIRST_FRAME_PROMPTS = {"mask": 0.6, "box": 0.2, "click": 0.2}  # probabilities
FEATURE_WEIGHTS = (1.0, 0.3, 0.3)  # of the distances at strides 16, 4 and 8


class TrainingStep(nn.Module):
    """The model with its losses, so that one `forward` is one step (which a distributed wrapper needs).

    feature_scales: standard deviation of every channel of the teacher's features: (256,), (32,), (64,).
    """

    def __init__(self, model: SAM2, feature_scales: tuple[Tensor, Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.model = model
        ones = (torch.ones(256), torch.ones(32), torch.ones(64))
        for name, scale in zip(("embedding", "high_res_0", "high_res_1"), feature_scales or ones, strict=True):
            self.register_buffer(f"{name}_scale", scale, persistent=False)

    def forward(self, batch: StillBatch | ClipBatch, rng: np.random.Generator, phase: Phase) -> dict[str, Tensor]:
        """The losses of one batch: scalars by name."""
        if isinstance(batch, ClipBatch):
            return self.clips(batch, rng, phase.frozen_encoder)
        return self.stills(batch, rng, phase.rounds)

    def stills(self, batch: StillBatch, rng: np.random.Generator, rounds: int) -> dict[str, Tensor]:
        """Feature loss where the teacher's features are known, mask losses over up to `rounds` predictions."""
        features = batch.features or self.model.encode_image(batch.pixels)
        losses = {} if batch.teacher is None else {"features": self.distance(features, batch.teacher)}
        if not len(batch.truth):
            return losses
        conditioned = self.model.recall(features)[batch.image_index]
        high_res = features.rows(batch.image_index).high_res
        truth = batch.truth > 0.5
        prompts, multimask = first_prompts(rng, truth)
        conversation = []
        for _ in range(int(rng.integers(1, rounds + 1))):
            prediction = self.model.predict_masks(conditioned, high_res, prompts, multimask)
            conversation.append(mask_losses(prediction, batch.truth))
            prompts, multimask = correct(rng, prompts, take_best(prediction).logits, truth), False
        return losses | averaged(conversation)

    def distance(self, features: ImageFeatures, teacher: TeacherFeatures) -> Tensor:
        """The distance of the first images' features from the teacher's: a scalar"""
        count = len(teacher.embedding)
        pairs = (
            (features.embedding, teacher.embedding, self.embedding_scale),
            (features.high_res[0], teacher.high_res[0], self.high_res_0_scale),
            (features.high_res[1], teacher.high_res[1], self.high_res_1_scale),
        )
        losses = [feature_loss(own[:count], goal, scale) for own, goal, scale in pairs]
        return sum(weight * loss for weight, loss in zip(FEATURE_WEIGHTS, losses, strict=True))

    def clips(self, batch: ClipBatch, rng: np.random.Generator, frozen_encoder: bool) -> dict[str, Tensor]:
        """Mask losses of a tracked clip, averaged over its frames."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_encoder):
            frames = self.encode_frames(batch)
        bank, losses = MemoryBank(), []
        for t, features in enumerate(frames):
            if t == 0:
                prediction, pointer = self.first_frame(features, batch, rng)
            else:
                prediction, pointer = self.tracked_frame(features, bank, t), None
            if prediction.logits.requires_grad or not torch.is_grad_enabled():  # a given mask has no loss
                losses.append(mask_losses(prediction, batch.truth[t]))
            best = take_best(prediction)
            self.remember(bank, t, features, best, memory_score(best.object_score, batch.truth[t], rng), pointer)
        return averaged(losses)

    def track(self, batch: ClipBatch) -> Iterator[tuple[int, Tensor]]:
        """Track the objects from their first masks; yields (frame, logits (N, 1, S/4, S/4)) from frame 1 on."""
        bank = MemoryBank()
        for t, features in enumerate(self.encode_frames(batch)):
            if t == 0:
                best, pointer = self.model.predict_from_mask(features, batch.first_masks)
            else:
                best, pointer = take_best(self.tracked_frame(features, bank, t)), None
            self.remember(bank, t, features, best, best.object_score, pointer)
            if t > 0:
                yield t, hide_absent(best.logits, best.object_score)

    def encode_frames(self, batch: ClipBatch) -> Iterator[ImageFeatures]:
        """Encode all frames at once; yields the features of one frame after the other, one row per object."""
        encoded = self.model.encode_image(batch.pixels.flatten(0, 1))
        frames, clips = batch.pixels.shape[:2]
        return (encoded.rows(t * clips + batch.clip_index) for t in range(frames))

    def first_frame(
        self, features: ImageFeatures, batch: ClipBatch, rng: np.random.Generator
    ) -> tuple[MaskPrediction, Tensor | None]:
        """Predict from a mask, a box or a click -> prediction, and the object pointer if it is already known"""
        kind = rng.choice(list(FIRST_FRAME_PROMPTS), p=list(FIRST_FRAME_PROMPTS.values()))
        if kind == "mask":
            return self.model.predict_from_mask(features, batch.first_masks)
        truth = batch.truth[0] > 0.5
        prompts = boxes_around(rng, truth) if kind == "box" else first_clicks(rng, truth)
        conditioned = self.model.recall(features)
        return self.model.predict_masks(conditioned, features.high_res, prompts, multimask=kind == "click"), None

    def tracked_frame(self, features: ImageFeatures, bank: MemoryBank, frame: int) -> MaskPrediction:
        """Predict a frame without a prompt: three masks per object, as in tracking."""
        conditioned = self.conditioned(features, bank, frame)
        padding = Prompts.padding(len(conditioned), conditioned.device)
        return self.model.predict_masks(conditioned, features.high_res, padding, multimask=True)

    def conditioned(self, features: ImageFeatures, bank: MemoryBank, frame: int) -> Tensor:
        """The embedding of a frame after it has attended to the memories of those before: -> (N, 256, h, w)"""
        return self.model.recall(features, recollect([bank], choose_in_clip(frame, self.model.num_maskmem)))

    def remember(
        self,
        bank: MemoryBank,
        frame: int,
        features: ImageFeatures,
        best: MaskPrediction,
        score: Tensor,
        pointer: Tensor | None,
    ) -> None:
        """Put a frame into the bank; objects count as present where score (N, 1) > 0.

        pointer: the object pointers (N, 256) if they are already known, else they are made from the tokens.
        """
        if pointer is None:
            pointer = self.model.object_pointer(best.tokens[:, 0], score)
        logits = hide_absent(best.logits, score)
        large = F.interpolate(logits, scale_factor=float(MASK_STRIDE), mode="bilinear", align_corners=False)
        memory = self.model.memorize(features, large, score, from_prompt=frame == 0)
        memories = bank.prompted if frame == 0 else bank.tracked
        memories[frame] = FrameMemory(memory, pointer, score, logits)


def choose_in_clip(frame: int, num_maskmem: int) -> MemoryChoice:
    """The memories a frame of a training clip attends to: frame 0 is prompted, those between are tracked."""
    return choose_memories(frame, [0], range(1, frame), num_maskmem=num_maskmem)


def memory_score(predicted: Tensor, truth: Tensor, rng: np.random.Generator) -> Tensor:
    """The object score that goes into memory, half of the time the true one: an untrained score is often wrong.

    predicted: (N, 1); truth: (N, h, w) -> (N, 1)
    """
    present = (truth.flatten(1).amax(1, keepdim=True) > 0).to(predicted.dtype)
    return present * 2 - 1 if rng.random() < 0.5 else predicted


def first_prompts(rng: np.random.Generator, truth: Tensor) -> tuple[Prompts, bool]:
    """A box or a click, each half of the time: truth (B, h, w) bool -> prompts, whether to predict three masks"""
    if rng.random() < 0.5:
        return boxes_around(rng, truth), False
    return first_clicks(rng, truth), True
