"""Distillation: a student learns to answer like a teacher that sees more.

The student works at its own input size, the teacher at a larger one.
Teacher and student see the same crop and the same click. The student learns the teacher's three masks, slot by slot,
how good they are, and the teacher's features; then boxes and corrections, with one of the teacher's masks as the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.media.images import normalise
from sam2nb.model.mask_decoder import take_best
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import INCLUDE_LABEL, MASK_STRIDE, ImageFeatures, MaskPrediction, Prompts
from sam2nb.training.data.batches import ClipBatch, TeacherFeatures
from sam2nb.training.data.scenes import compose_scene
from sam2nb.training.data.stock import Stock
from sam2nb.training.losses import averaged, imitation_losses, mask_losses
from sam2nb.training.phase import Phase
from sam2nb.training.simulated_user import boxes_around, correct
from sam2nb.training.step import TrainingStep

CLICK_ON_OBJECT = 0.6  # probability that a click falls on an object of the scene, not anywhere
USABLE_IOU = 0.6  # predicted IoU from which a mask of the teacher may be the truth
AREA_RANGE = (0.0008, 0.85)  # of the image: such masks may be the truth
FEATURES_SHARE = 0.3  # weight of the features beside the masks


@dataclass(frozen=True)
class CropBatch:
    """B crops with N clicks each.

    pixels: (B, 3, S, S), normalised, at the teacher's size S. clicks: (B, N, 2) as (x, y) in 0..1.
    side: the student's input size.
    """

    pixels: Tensor
    clicks: Tensor
    side: int


def crops_of_scenes(
    rng: np.random.Generator, stock: Stock, *, crops: int, clicks: int, teacher_side: int, side: int
) -> CropBatch:
    """Single frames of composed scenes, with clicks on objects and anywhere."""
    images, points = [], []
    for _ in range(crops):
        scene = compose_scene(rng, stock, 1, teacher_side)
        images.append(scene.images[0])
        points.append(_clicks_on(rng, scene.masks[0], clicks))
    points = torch.tensor(np.stack(points), dtype=torch.float32, device=images[0].device)
    return CropBatch(normalise(torch.stack(images)), points, side)


def _clicks_on(rng: np.random.Generator, masks: Tensor, count: int) -> np.ndarray:
    """Clicks (count, 2) in 0..1, some of them on masks (K, S, S)"""
    points = rng.random((count, 2))
    small = masks[:, ::8, ::8].cpu().numpy()
    visible = small[small.any((1, 2))]
    for point in points if len(visible) else ():
        if rng.random() < CLICK_ON_OBJECT:
            rows, columns = np.nonzero(visible[int(rng.integers(len(visible)))])
            pick = int(rng.integers(len(rows)))
            point[:] = (columns[pick] + 0.5) / small.shape[2], (rows[pick] + 0.5) / small.shape[1]
    return points


class DistillationStep(TrainingStep):
    """Steps on crops, with a teacher, and on clips, without.

    teacher: any model in eval mode; it sees crops at its own image_size.
    """

    def __init__(self, model: SAM2, teacher: SAM2, scales: tuple[Tensor, Tensor, Tensor] | None = None) -> None:
        super().__init__(model, scales)
        self.teachers = [teacher]  # in a list, so that it is neither trained nor saved with the step

    def forward(self, batch: CropBatch | ClipBatch, rng: np.random.Generator, phase: Phase) -> dict[str, Tensor]:
        """The losses of one batch: scalars by name."""
        if isinstance(batch, CropBatch):
            return self.imitate(batch, rng, phase.rounds)
        return super().forward(batch, rng, phase)

    def imitate(self, batch: CropBatch, rng: np.random.Generator, rounds: int) -> dict[str, Tensor]:
        """Features, answers to clicks, then boxes and corrections over up to `rounds` predictions."""
        rows = torch.arange(len(batch.pixels), device=batch.pixels.device).repeat_interleave(batch.clicks.shape[1])
        wanted, answers = self.teach(batch, rows)
        smaller = F.adaptive_avg_pool2d(batch.pixels, batch.side)
        features = self.model.encode_image(smaller)
        losses = {"features": FEATURES_SHARE * self.distance(features, pooled_like(features, wanted))}
        truths = covered(answers.logits, batch.side // MASK_STRIDE)
        chosen = choose_truth(rng, answers)
        usable = chosen >= 0  # the others keep their place, with an empty truth, so that shapes stay the same
        truths = truths * usable[:, None, None, None]
        truth = truths[torch.arange(len(truths), device=truths.device), chosen.clamp(min=0)]
        conditioned, high_res = self.model.recall(features)[rows], features.rows(rows).high_res
        by_click = rng.random() < 0.5
        prompts = one_click(batch.clicks.flatten(0, 1), batch.side) if by_click else boxes_around(rng, truth > 0.5)
        conversation = []
        for number in range(int(rng.integers(1, rounds + 1))):
            multimask = by_click and number == 0
            prediction = self.model.predict_masks(conditioned, high_res, prompts, multimask)
            if multimask:
                conversation.append(imitation_losses(prediction, truths, answers.iou.float() * usable[:, None]))
            else:
                conversation.append(mask_losses(prediction, truth))
            prompts = correct(rng, prompts, take_best(prediction).logits, truth > 0.5)
        for spoken in conversation:
            spoken.pop("object", None)  # every object is there, and the teacher may not know of absent ones
        return losses | averaged(conversation)

    @torch.no_grad()
    def teach(self, batch: CropBatch, rows: Tensor) -> tuple[ImageFeatures, MaskPrediction]:
        """The teacher's features of the crops, and its three masks for every click (rows: the crop of each)."""
        teacher = self.teachers[0]
        features = teacher.encode_image(batch.pixels)
        prompts = one_click(batch.clicks.flatten(0, 1), teacher.image_size)
        return features, teacher.predict_masks(
            teacher.recall(features)[rows], features.rows(rows).high_res, prompts, multimask=True
        )


def one_click(points: Tensor, side: int) -> Prompts:
    """points (N, 2) in 0..1 -> one click each, in pixels of the input"""
    labels = torch.full((len(points), 1), INCLUDE_LABEL, dtype=torch.int32, device=points.device)
    return Prompts(points[:, None] * side, labels)


def covered(logits: Tensor, side: int) -> Tensor:
    """How much of every cell of a coarser grid a mask covers: (..., h, w) logits -> (..., side, side) in 0..1"""
    return F.adaptive_avg_pool2d((logits > 0).float(), side)


def pooled_like(features: ImageFeatures, teacher: ImageFeatures) -> TeacherFeatures:
    """The teacher's maps, averaged to the size of the student's."""
    own = (features.embedding, *features.high_res)
    maps = (teacher.embedding, *teacher.high_res)
    pooled = [F.adaptive_avg_pool2d(level.float(), mine.shape[-2:]) for mine, level in zip(own, maps, strict=True)]
    return TeacherFeatures(pooled[0], (pooled[1], pooled[2]))


def choose_truth(rng: np.random.Generator, answers: MaskPrediction) -> Tensor:
    """One usable mask of three for each click, better ones more often: -> (N,) index, -1 where none is usable"""
    area = (answers.logits > 0).float().mean((-2, -1))
    usable = (answers.iou > USABLE_IOU) & (area > AREA_RANGE[0]) & (area < AREA_RANGE[1])
    luck = torch.from_numpy(rng.random(answers.iou.shape, dtype=np.float32)).to(area.device)
    score = torch.where(usable, answers.iou.float() + 0.5 * luck, -1.0)
    best, index = score.max(1)
    return torch.where(best > 0, index, -1)


@torch.no_grad()
def spread_of_features(teacher: SAM2, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviation of every channel of a teacher's maps over crops (B, 3, S, S): (256,), (32,), (64,)"""
    features = teacher.encode_image(pixels)
    maps = (features.embedding, *features.high_res)
    return tuple(level.float().std((0, 2, 3)).clamp(min=1e-3) for level in maps)
