"""Decode the points of an image in batches.

Differs from the official package: masks stay at the decoder's size, and the size of a batch follows from a memory
budget. The decoder needs 28 MB per point at 1024 x 1024, so the official 64 points take 1.8 GB.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sam2nb.model.sam2 import EMBEDDING_STRIDE, SAM2
from sam2nb.predict.image import SAM2ImagePredictor
from sam2nb.structures import INCLUDE_LABEL, MASK_LOGIT_CLAMP, MaskPrediction, Prompts

# A batch is made of groups of this many points. On a CPU each group goes through the decoder alone: matrix kernels
# round differently for other sizes, and the size of a batch must change no result. Groups of four are fastest there.
GROUP_SIZE = 4
BYTES_PER_TOKEN = 7000  # decoder memory of one point for each image token, measured
BYTES_PER_PIXEL = 16  # of an upsampled mask: its logit, the two logits it is interpolated from, booleans
CPU_PIXELS = 1 << 20  # strips that fit into the cache are fastest
DEFAULT_BUDGET = {"cpu": 128 << 20, "cuda": 1 << 30}  # bytes; on a CPU 4 points at 1024 x 1024, the fastest batch


@dataclass(frozen=True)
class BatchPlan:
    """Size of a batch: points in the decoder, upsampled pixels behind it."""

    points: int
    pixels: int

    @property
    def is_smallest(self) -> bool:
        """Whether it is a single group, which cannot be halved."""
        return self.points <= GROUP_SIZE

    def halved(self) -> BatchPlan:
        """Half as many points, in whole groups, and pixels."""
        return BatchPlan(max(GROUP_SIZE, _whole_groups(self.points // 2)), max(1, self.pixels // 2))


def plan_batches(model: SAM2, budget: int | None, points_per_batch: int) -> BatchPlan:
    """The largest batch within a budget, of at most `points_per_batch` points (rounded up to whole groups).

    budget: bytes, or None for the default of the model's device.
    """
    kind = model.device.type
    budget = budget or DEFAULT_BUDGET.get(kind, DEFAULT_BUDGET["cuda"])
    bytes_per_point = BYTES_PER_TOKEN * (model.image_size // EMBEDDING_STRIDE) ** 2
    points = min(points_per_batch + GROUP_SIZE - 1, budget // bytes_per_point)
    pixels = budget // BYTES_PER_PIXEL
    return BatchPlan(
        points=max(GROUP_SIZE, _whole_groups(points)),
        pixels=min(pixels, CPU_PIXELS) if kind == "cpu" else pixels,
    )


def _whole_groups(points: int) -> int:
    return points // GROUP_SIZE * GROUP_SIZE


@dataclass(frozen=True)
class PointMasks:
    """N masks at the decoder's size, each with the point that prompted it.

    points: (N, 2) float32 in pixels of the image. iou: (N,) and logits: (N, h, w), float32 on the model's device.
    """

    points: Tensor
    iou: Tensor
    logits: Tensor

    def __len__(self) -> int:
        return len(self.points)


def decode_points(predictor: SAM2ImagePredictor, points: Tensor, multimask: bool) -> PointMasks:
    """Predict masks for points of the image that is set: (N, 2) in image pixels -> N masks, or 3 N with multimask"""
    return _decode(predictor, points, None, multimask)


def refine_with_m2m(predictor: SAM2ImagePredictor, masks: PointMasks, points_at_once: int) -> PointMasks:
    """Predict again, each point with its own mask as mask prompt ("mask to mask"): N masks -> N masks"""
    parts = []
    for start in range(0, len(masks), points_at_once):
        batch = slice(start, start + points_at_once)
        mask_prompts = masks.logits[batch, None].clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)
        parts.append(_decode(predictor, masks.points[batch], mask_prompts, multimask=False))
    return PointMasks(
        torch.cat([part.points for part in parts]),
        torch.cat([part.iou for part in parts]),
        torch.cat([part.logits for part in parts]),
    )


def drop_unconfident(masks: PointMasks, threshold: float) -> PointMasks:
    """Keep masks of a predicted IoU above the threshold; 0 keeps all."""
    if threshold <= 0:
        return masks
    keep = masks.iou > threshold
    return PointMasks(masks.points[keep.cpu()], masks.iou[keep], masks.logits[keep])


def _decode(predictor: SAM2ImagePredictor, points: Tensor, mask_prompts: Tensor | None, multimask: bool) -> PointMasks:
    count = len(points)
    rows = torch.arange(_whole_groups(count + GROUP_SIZE - 1)).clamp(max=count - 1)  # the last point fills its group
    groups = rows.split(GROUP_SIZE) if predictor.device.type == "cpu" else (rows,)
    parts = []
    for group in groups:
        masks = None if mask_prompts is None else mask_prompts[group.to(mask_prompts.device)]
        parts.append(_decode_group(predictor, points[group], masks, multimask))
    iou = torch.cat([part.iou for part in parts])[:count]
    logits = torch.cat([part.logits for part in parts])[:count]
    return PointMasks(points.repeat_interleave(iou.shape[1], 0), iou.flatten(), logits.flatten(0, 1))


def _decode_group(
    predictor: SAM2ImagePredictor, points: Tensor, mask_prompts: Tensor | None, multimask: bool
) -> MaskPrediction:
    height, width = predictor.original_sizes[0]
    scaled = points / torch.tensor([width, height], dtype=torch.float32) * predictor.model.image_size
    labels = torch.full((len(points), 1), INCLUDE_LABEL, dtype=torch.int32, device=predictor.device)
    return predictor.predict_prompts(Prompts(scaled[:, None].to(predictor.device), labels, mask_prompts), multimask)
