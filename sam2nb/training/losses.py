"""The training losses: focal, dice, predicted IoU, object score, distance to the teacher's features.

Focal and dice on masks, L1 on the predicted IoU and cross-entropy on the object score are SAM 2's (arXiv 2408.00714,
appendix D.2.1); the distance to the teacher's features is for distillation.

True masks may be fractional: a mask pixel cut by the outline is partly inside, so small masks keep sub-pixel outlines.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.masks.measure import iou
from sam2nb.structures import MaskPrediction

FOCAL_GAMMA, FOCAL_ALPHA = 2.0, 0.25  # alpha: the weight of the object's pixels; as in the official training
WEIGHTS = {"focal": 20.0, "dice": 1.0, "iou": 1.0, "object": 1.0, "features": 1.0, "pointer": 1.0}


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy that puts weight on the pixels still undecided (arXiv 1708.02002): (..., h, w) x2 -> (...)"""
    probability = logits.sigmoid()
    agreement = probability * truth + (1 - probability) * (1 - truth)
    weight = FOCAL_ALPHA * truth + (1 - FOCAL_ALPHA) * (1 - truth)
    loss = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (weight * (1 - agreement) ** FOCAL_GAMMA * loss).mean((-2, -1))


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """One minus the overlap of soft masks (arXiv 1606.04797): (..., h, w) x2 -> (...)"""
    probability = logits.sigmoid()
    overlap = (probability * truth).sum((-2, -1))
    return 1 - (2 * overlap + 1) / (probability.sum((-2, -1)) + truth.sum((-2, -1)) + 1)


def true_iou(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU of thresholded masks: (..., h, w) x2 -> (...)"""
    return iou(logits > 0, truth > 0.5)


def mask_losses(prediction: MaskPrediction, truth: Tensor) -> dict[str, Tensor]:
    """Losses of M masks for each of B objects: only an object's best mask is corrected, every IoU estimate is.

    truth: (B, h, w) in 0..1. Objects absent from the image (all zero) train the object score alone.
    -> scalars "focal", "dice", "iou", "object", not yet weighted
    """
    logits = prediction.logits.float()
    present = truth.flatten(1).amax(1) > 0
    share = present.float() / present.sum().clamp(min=1)
    wanted = truth[:, None].expand_as(logits)
    focal, dice = focal_loss(logits, wanted), dice_loss(logits, wanted)
    best = (WEIGHTS["focal"] * focal + WEIGHTS["dice"] * dice).argmin(1, keepdim=True)
    quality = (prediction.iou - true_iou(logits, wanted)).abs().mean(1)
    object_score = F.binary_cross_entropy_with_logits(prediction.object_score[:, 0], present.float())
    return {
        "focal": (focal.gather(1, best)[:, 0] * share).sum(),
        "dice": (dice.gather(1, best)[:, 0] * share).sum(),
        "iou": (quality * share).sum(),
        "object": object_score,
    }


def imitation_losses(prediction: MaskPrediction, truths: Tensor, teacher_iou: Tensor) -> dict[str, Tensor]:
    """Losses of three masks for each of B objects against the three of a teacher, slot by slot.

    truths: (B, 3, h, w) in 0..1; teacher_iou: (B, 3), how good the teacher thinks they are, which is also their weight;
    0 for an object that does not count.
    A student's mask is as good as the teacher's times its overlap with it.
    -> scalars "focal", "dice", "iou", not yet weighted
    """
    logits = prediction.logits.float()
    counts = teacher_iou.amax(1, keepdim=True) > 0
    total_masks = (counts.sum() * truths.shape[1]).clamp(min=1)
    weight = teacher_iou.clamp(0, 1) / total_masks
    quality = teacher_iou.clamp(0, 1) * true_iou(logits, truths)
    return {
        "focal": (focal_loss(logits, truths) * weight).sum(),
        "dice": (dice_loss(logits, truths) * weight).sum(),
        "iou": ((prediction.iou - quality).abs() * counts).sum() / total_masks,
    }


def feature_loss(student: Tensor, teacher: Tensor, scale: Tensor) -> Tensor:
    """Mean squared distance in units of each channel's standard deviation: (B, C, h, w) x2, scale (C,) -> scalar"""
    return ((student - teacher) / scale.view(1, -1, 1, 1)).square().mean()


def total(losses: dict[str, Tensor]) -> Tensor:
    """The weighted sum that is minimised: scalars by name -> scalar"""
    return torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()


def averaged(rounds: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of every loss over the rounds of a conversation or the frames of a clip."""
    return {name: torch.stack([losses[name] for losses in rounds]).mean() for name in rounds[0]}
