"""Judgement: the quality head alone learns which of a model's three masks is the one that was meant.

The rest of the model stays as it is, so what the head reads is computed once: for every click the token of the head,
and how much each of the three masks overlaps with each of the three of a teacher that sees the picture larger. The head
then learns to predict, for each mask, its overlap with the one the teacher holds for best, times how sure it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from sam2nb.masks.measure import iou
from sam2nb.media.images import to_model_input
from sam2nb.model.sam2 import SAM2
from sam2nb.training.distillation import one_click

MEANT = 0.5  # weight of the overlap with the teacher's best mask; the rest is for the overlap with any of its masks
BATCH = 512


@dataclass(frozen=True)
class Answers:
    """N clicks. tokens: (N, 256), what the head reads. overlap: (N, 3, 3), IoU of each mask of the student with each of
    the teacher's. teacher_iou: (N, 3), predicted by the teacher.
    """

    tokens: Tensor
    overlap: Tensor
    teacher_iou: Tensor

    def wanted(self, meant: float = MEANT) -> Tensor:
        """How good each mask of the student is: (N, 3), 0 to 1"""
        quality = self.teacher_iou.clamp(0, 1)
        best = quality.argmax(1)
        rows = torch.arange(len(best))
        with_best = self.overlap[rows, :, best] * quality[rows, best][:, None]
        with_any = (self.overlap * quality[:, None]).amax(2)
        return meant * with_best + (1 - meant) * with_any


@torch.inference_mode()
def collect_answers(
    student: SAM2, teacher: SAM2, images: list[NDArray[np.uint8]], clicks: int, rng: np.random.Generator
) -> Answers:
    """Let both answer the same random clicks on images (H, W, 3), each at its own input size."""
    tokens, overlap, teacher_iou = [], [], []
    read: list[Tensor] = []
    handle = student.sam_mask_decoder.iou_prediction_head.register_forward_pre_hook(
        lambda _, args: read.append(args[0])
    )
    try:
        for image in tqdm(images, desc="answers"):
            points = torch.from_numpy(rng.random((clicks, 2), dtype=np.float32))
            own, theirs = (_answer(model, image, points) for model in (student, teacher))
            side = own.logits.shape[-1]
            coarse = F.adaptive_avg_pool2d((theirs.logits > 0).float(), side) > 0.5
            tokens.append(read[-1].reshape(clicks, -1).clone())
            overlap.append(iou((own.logits > 0)[:, :, None], coarse[:, None]))
            teacher_iou.append(theirs.iou)
    finally:
        handle.remove()
    return Answers(torch.cat(tokens), torch.cat(overlap), torch.cat(teacher_iou))


def _answer(model: SAM2, image: NDArray[np.uint8], points: Tensor):
    features = model.encode_image(to_model_input(image, model.image_size).to(model.device))
    prompts = one_click(points.to(model.device), model.image_size)
    return model.predict_masks(model.recall(features), features.high_res, prompts, multimask=True)
