"""One step of training: a batch in, losses out. Three kinds, each a conversation with the model.

- features: the trunk imitates the teacher.
- stills: a box or a click, then clicks where the answer is wrong (SAM 2, arXiv 2408.00714, section 4 "training").
- clips: the first frame is prompted (mask, box or click), the others are tracked through the memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.sam2 import SAM2
from sam2nb.structures import NO_OBJECT_LOGIT, ImageFeatures, MaskPrediction, Prompts, Recollection
from sam2nb.training.data.batches import ClipBatch, StillBatch
from sam2nb.training.losses import averaged, feature_loss, mask_losses
from sam2nb.training.simulated_user import boxes_around, correct, first_clicks

POINTER_SPAN = 15  # the distance that the time code calls 1, as in a long clip
FIRST_FRAME_PROMPTS = {"mask": 0.6, "box": 0.2, "click": 0.2}


class TrainingStep(nn.Module):
    """The model with its losses, so that one `forward` is one step (what a distributed wrapper needs).

    feature_scales: spread of every channel of the teacher's features: (256,), (32,), (64,).
    """

    def __init__(self, model: SAM2, feature_scales: tuple[Tensor, Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.model = model
        ones = (torch.ones(256), torch.ones(32), torch.ones(64))
        for name, scale in zip(("embedding", "high_res_0", "high_res_1"), feature_scales or ones, strict=True):
            self.register_buffer(f"{name}_scale", scale, persistent=False)

    def forward(
        self, batch: StillBatch | ClipBatch, rng: np.random.Generator, options: Mapping[str, object]
    ) -> dict[str, Tensor]:
        """options: of the phase, see configs/train. -> scalar losses by name"""
        if isinstance(batch, ClipBatch):
            return self.clips(batch, rng, bool(options.get("frozen_encoder", False)))
        return self.stills(batch, rng, int(options.get("rounds", 1)))

    def stills(self, batch: StillBatch, rng: np.random.Generator, rounds: int) -> dict[str, Tensor]:
        """Feature loss where the teacher looked, mask losses over a conversation of up to `rounds` answers."""
        features = batch.features or self.model.encode_image(batch.pixels)
        losses = {} if batch.teacher is None else {"features": self.distance(features, batch.teacher)}
        if not len(batch.truth):
            return losses
        conditioned = self.model.recall(features)[batch.picture]
        high_res = tuple(level[batch.picture] for level in features.high_res)
        answers = []
        truth = (batch.truth > 0.5).cpu().numpy()
        prompts, multimask = _first_prompts(rng, truth, batch.truth.device)
        for _ in range(int(rng.integers(1, rounds + 1))):
            answer = self.model.predict_masks(conditioned, high_res, prompts, multimask)
            answers.append(mask_losses(answer, batch.truth))
            prompts, multimask = correct(rng, prompts, self.model.choose_best(answer).logits, truth), False
        return losses | averaged(answers)

    def distance(self, features: ImageFeatures, teacher) -> Tensor:
        """How far the first pictures' features are from the teacher's."""
        count = len(teacher.embedding)
        pairs = (
            (features.embedding, teacher.embedding, self.embedding_scale),
            (features.high_res[0], teacher.high_res[0], self.high_res_0_scale),
            (features.high_res[1], teacher.high_res[1], self.high_res_1_scale),
        )
        weights = (1.0, 0.3, 0.3)
        return sum(
            w * feature_loss(own[:count], goal, scale) for w, (own, goal, scale) in zip(weights, pairs, strict=True)
        )

    def clips(self, batch: ClipBatch, rng: np.random.Generator, frozen_encoder: bool) -> dict[str, Tensor]:
        """Mask losses of a tracked clip, averaged over its frames."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_encoder):
            every = self.model.encode_image(batch.pixels.flatten(0, 1))
        memories: list[tuple[Tensor, Tensor]] = []  # per frame: memory map, pointer
        losses = []
        for t in range(len(batch.pixels)):
            features = _frame_of(every, t * batch.pixels.shape[1] + batch.clip)
            if t == 0:
                answer, pointer, certain = self.first_frame(features, batch, rng)
            else:
                answer = self.tracked_frame(features, memories)
                pointer, certain = None, False
            if answer.logits.requires_grad or not torch.is_grad_enabled():
                losses.append(mask_losses(answer, batch.truth[t]))
            memories.append(self.remember(features, answer, pointer, certain, batch.truth[t], rng))
        return averaged(losses)

    def track(self, batch: ClipBatch, rng: np.random.Generator):
        """Follow the objects from their first masks; yields (frame, logits (N, 1, S/4, S/4)) from frame 1 on."""
        every = self.model.encode_image(batch.pixels.flatten(0, 1))
        features = _frame_of(every, batch.clip)
        answer, pointer = self.model.predict_from_mask(features, batch.first_masks)
        memories = [self.memory_of(features, answer, answer.object_score, pointer, True)]
        for t in range(1, len(batch.pixels)):
            features = _frame_of(every, t * batch.pixels.shape[1] + batch.clip)
            best = self.model.choose_best(self.tracked_frame(features, memories))
            memories.append(self.memory_of(features, best, best.object_score, None, False))
            yield t, torch.where((best.object_score > 0)[..., None, None], best.logits, NO_OBJECT_LOGIT)

    def first_frame(
        self, features: ImageFeatures, batch: ClipBatch, rng: np.random.Generator
    ) -> tuple[MaskPrediction, Tensor | None, bool]:
        """-> answer, pointer if already known, whether the answer counts as certain"""
        kind = rng.choice(list(FIRST_FRAME_PROMPTS), p=list(FIRST_FRAME_PROMPTS.values()))
        if kind == "mask":
            answer, pointer = self.model.predict_from_mask(features, batch.first_masks)
            return answer, pointer, True
        truth = (batch.truth[0] > 0.5).cpu().numpy()
        prompts = boxes_around(rng, truth) if kind == "box" else first_clicks(rng, truth)
        prompts = _on(prompts, batch.truth.device)
        conditioned = self.model.recall(features)
        return self.model.predict_masks(conditioned, features.high_res, prompts, kind == "click"), None, True

    def tracked_frame(self, features: ImageFeatures, memories: list[tuple[Tensor, Tensor]]) -> MaskPrediction:
        """The answer on a frame that nobody prompted: three masks, as official tracks."""
        now = len(memories)
        recent = range(max(1, now - self.model.num_maskmem + 1), now)
        spatial = [(memories[0][0], self.model.num_maskmem - 1)] + [(memories[f][0], now - f - 1) for f in recent]
        pointers = [(memories[f][1], now - f) for f in [0, *reversed(range(1, now))]]
        conditioned = self.model.recall(features, Recollection(tuple(spatial), tuple(pointers), POINTER_SPAN))
        nothing = Prompts(
            torch.zeros(len(conditioned), 1, 2, device=conditioned.device),
            torch.full((len(conditioned), 1), -1, dtype=torch.int32, device=conditioned.device),
        )
        return self.model.predict_masks(conditioned, features.high_res, nothing, multimask=True)

    def remember(
        self,
        features: ImageFeatures,
        answer: MaskPrediction,
        pointer: Tensor | None,
        certain: bool,
        truth: Tensor,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Memory map and pointer of one frame. Every other time presence is told: a young object score errs."""
        best = self.model.choose_best(answer)
        present = (truth.flatten(1).amax(1, keepdim=True) > 0).to(best.object_score.dtype)
        score = present * 2 - 1 if rng.random() < 0.5 else best.object_score
        return self.memory_of(features, best, score, pointer, certain)

    def memory_of(
        self, features: ImageFeatures, best: MaskPrediction, score: Tensor, pointer: Tensor | None, certain: bool
    ) -> tuple[Tensor, Tensor]:
        """-> memory map (N, 64, h, w), pointer (N, 256), for objects that are there where score > 0"""
        if pointer is None:
            pointer = self.model.object_pointer(best.tokens[:, 0], score)
        logits = torch.where((score > 0)[..., None, None], best.logits, NO_OBJECT_LOGIT)
        large = F.interpolate(logits, scale_factor=4.0, mode="bilinear", align_corners=False)
        return self.model.memorize(features, large, score, from_prompt=certain), pointer


def _first_prompts(rng: np.random.Generator, truth: np.ndarray, device: torch.device) -> tuple[Prompts, bool]:
    """-> prompts, whether three answers are wanted"""
    if rng.random() < 0.5:
        return _on(boxes_around(rng, truth), device), False
    return _on(first_clicks(rng, truth), device), True


def _on(prompts: Prompts, device: torch.device) -> Prompts:
    return Prompts(prompts.points.to(device), prompts.labels.to(device))


def _frame_of(features: ImageFeatures, rows: Tensor) -> ImageFeatures:
    return ImageFeatures(features.embedding[rows], features.position, tuple(level[rows] for level in features.high_res))
