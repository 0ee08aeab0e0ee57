"""Asking the decoder about many points of one picture, a few at a time.

Differs from official: answers stay at the decoder's own size, and how many points go together follows from a budget of
memory. The decoder needs 28 MB a point at 1024 x 1024, so official's 64 points take 1.8 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam2nb.model.sam2 import SAM2
from sam2nb.predict.image import SAM2ImagePredictor
from sam2nb.structures import MASK_LOGIT_CLAMP, Prompts

# A batch is made of groups of so many points. On a CPU each group goes through the decoder alone: matrix kernels round
# differently for other sizes, and the size of a batch must change no result. Four at a time are fastest there anyway.
POINTS_STEP = 4
TOKEN_STRIDE = 16
BYTES_PER_TOKEN = 7000  # what one point costs the decoder for each token of the picture, measured
BYTES_PER_PIXEL = 16  # of an enlarged mask: a float, what it is blended from, booleans
CPU_PIXELS = 1 << 20  # strips that fit the cache are fastest
DEFAULT_BUDGET = {"cpu": 128 << 20, "cuda": 1 << 30}  # a CPU is fastest with 4 points


@dataclass(frozen=True)
class BatchPlan:
    """How much is worked on together: points in the decoder, enlarged pixels behind it."""

    points: int
    pixels: int

    def halved(self) -> BatchPlan | None:
        """Half of both, or None where there is nothing left to halve."""
        if self.points <= POINTS_STEP:
            return None
        return BatchPlan(max(POINTS_STEP, self.points // 2 // POINTS_STEP * POINTS_STEP), max(1, self.pixels // 2))


def plan_batches(model: SAM2, budget: int | None, points_per_batch: int) -> BatchPlan:
    """How much goes together within a budget, never more than `points_per_batch` points (rounded up).

    budget: bytes, None for the usual of the model's device.
    """
    kind = model.device.type
    budget = budget or DEFAULT_BUDGET.get(kind, DEFAULT_BUDGET["cuda"])
    per_point = BYTES_PER_TOKEN * (model.image_size // TOKEN_STRIDE) ** 2
    points = min(points_per_batch + POINTS_STEP - 1, budget // per_point)
    pixels = budget // BYTES_PER_PIXEL
    return BatchPlan(
        points=max(POINTS_STEP, points // POINTS_STEP * POINTS_STEP),
        pixels=min(pixels, CPU_PIXELS) if kind == "cpu" else pixels,
    )


@dataclass(frozen=True)
class Answers:
    """N small masks with the point that was asked for each.

    points: (N, 2) float32 in pixels of the picture. iou: (N,) and logits: (N, h, w), float32 on the model's device.
    """

    points: Tensor
    iou: Tensor
    logits: Tensor

    def __len__(self) -> int:
        return len(self.points)


def ask_points(predictor: SAM2ImagePredictor, points: Tensor, multimask: bool) -> Answers:
    """One question per point: points (N, 2) in pixels of the picture that is set -> N answers, or 3 N with multimask"""
    return _ask(predictor, points, None, multimask)


def ask_again(predictor: SAM2ImagePredictor, answers: Answers, at_once: int) -> Answers:
    """The same points once more, each with its own answer as mask prompt ("mask to mask"): N answers -> N answers"""
    parts = []
    for start in range(0, len(answers), at_once):
        batch = slice(start, start + at_once)
        masks = answers.logits[batch, None].clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)
        parts.append(_ask(predictor, answers.points[batch], masks, multimask=False))
    return _concatenate(parts)


def keep_confident(answers: Answers, threshold: float) -> Answers:
    """Drop answers of which the model itself thinks little; 0 keeps all."""
    if threshold <= 0:
        return answers
    keep = answers.iou > threshold
    return Answers(answers.points[keep.cpu()], answers.iou[keep], answers.logits[keep])


def _ask(predictor: SAM2ImagePredictor, points: Tensor, masks: Tensor | None, multimask: bool) -> Answers:
    count = len(points)
    rows = torch.arange(-(-count // POINTS_STEP) * POINTS_STEP).clamp(max=count - 1)  # the last question fills up
    groups = rows.split(POINTS_STEP) if predictor.device.type == "cpu" else (rows,)
    parts = [_ask_group(predictor, points, masks, group, multimask) for group in groups]
    iou, logits = (torch.cat(tensors)[:count] for tensors in zip(*parts, strict=True))
    return Answers(points.repeat_interleave(iou.shape[1], 0), iou.flatten(), logits.flatten(0, 1))


def _ask_group(
    predictor: SAM2ImagePredictor, points: Tensor, masks: Tensor | None, rows: Tensor, multimask: bool
) -> tuple[Tensor, Tensor]:
    """-> estimated IoU (n, M), logits (n, M, h, w) of the chosen rows"""
    prompts = Prompts(
        points=_to_model_pixels(points[rows], predictor)[:, None].to(predictor.device),
        labels=torch.ones(len(rows), 1, dtype=torch.int32, device=predictor.device),
        masks=None if masks is None else masks[rows.to(masks.device)],
    )
    answer = predictor.predict_prompts(prompts, multimask)
    return answer.iou, answer.logits


def _to_model_pixels(points: Tensor, predictor: SAM2ImagePredictor) -> Tensor:
    height, width = predictor.original_sizes[0]
    return points / torch.tensor([width, height], dtype=torch.float32) * predictor.model.image_size


def _concatenate(parts: Sequence[Answers]) -> Answers:
    return Answers(*(torch.cat([getattr(part, name) for part in parts]) for name in ("points", "iou", "logits")))
