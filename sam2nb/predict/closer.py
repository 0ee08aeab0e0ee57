"""The second look: prompts on a small object, answered again on a crop around it.

A small object fills few of the model's cells. The box, or the first answer, says where it is; a square around it is
encoded at the model's full resolution, and the same prompts are answered there. Of the masks that come back one is
taken by evidence that needs no truth: with a box, by predicted IoU and by how well the mask fills the box; with clicks,
which may mean several objects, the first answer goes in as a mask prompt and the mask that agrees with it is taken. An
object that nearly fills the image keeps its first answer, at no cost.

Still images and frames of videos take the same path; they differ in how a part is encoded (`EncodedParts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from sam2nb.masks.measure import iou, mask_boxes
from sam2nb.masks.regions import large_part
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.encoding import EncodedImage, EncodedParts, readable
from sam2nb.predict.precision import computing
from sam2nb.predict.regions import boxes_in_region, masks_to_frame, move_logits, region_around
from sam2nb.structures import (
    BOX_CORNER_LABELS,
    INCLUDE_LABEL,
    MASK_LOGIT_CLAMP,
    PADDING_LABEL,
    WHOLE_FRAME,
    Prompts,
    Region,
)

DEFAULT_FOR = ("sam2nb_nano",)  # configurations that look twice unless told otherwise: it pays on every size of object
LARGE_PART = 0.3  # of the largest connected part: smaller ones of the first answer do not say where the object is
STEPS_PER_DOUBLING, STEPS_PER_SIDE = 4, 8  # sides and centres of regions are rounded, so that more prompts share one
INSIDE = 0.95  # of a first answer that a region must show, for it to be answered again there
ALL = slice(None)
AGREES = 0.3  # IoU with the first answer, below which the second one shows something else


@dataclass(frozen=True)
class SecondLook:
    """The second answer for one object, M masks.

    region: the part of the image that the masks show. logits: (M, 4h, 4w). iou: (M,), predicted; of several masks that
    of the first answers, which say what each mask stands for. kept: (M,) bool, whether each replaces its first answer.
    """

    region: Region
    logits: Tensor
    iou: Tensor
    kept: Tensor

    def on_image(self, size_hw: tuple[int, int]) -> Tensor:
        """The logits at the image's size, absent outside of the region: -> (M, H, W) float32"""
        return masks_to_frame(self.logits[None], self.region, size_hw)[0]


def looks_closer(model: SAM2, closer: bool | None) -> bool:
    """Whether to look twice; None takes the model's default.

    Raises TypeError for anything else than True, False and None.
    """
    if closer is not None and not isinstance(closer, (bool, np.bool_)):
        raise TypeError(f"closer must be True, False or None (the model's default), got {closer!r}")
    return model.config_name in DEFAULT_FOR if closer is None else bool(closer)


@torch.no_grad()
def look_closer(
    model: SAM2, parts: EncodedParts, prompts: Prompts, logits: Tensor, quality: Tensor, multimask: bool
) -> Iterator[SecondLook | None]:
    """Answer prompts for B objects again, one after the other; None for an object that keeps its first answer.

    prompts: on the whole image. logits, quality: of the first answer, (B, M, 4h, 4w) and (B, M). multimask: as then.
    """
    for row in range(len(logits)):
        own, first, scores = _row(prompts, row), logits[row].float(), quality[row].float()
        region = region_of(own, first[scores.argmax()], parts.size_hw, model.image_size)
        if region == WHOLE_FRAME:
            yield None
            continue
        before, moved = mask_prompt_in_region(first[None], region)[0], prompts_in_region(own, region, model.image_size)
        part, in_box = readable(parts[region], model), _has_box(own)
        with computing(model):
            if not in_box:
                after, found = _refine(model, part, moved, before)
            elif multimask:
                after, found = _predict(model, part, moved, slice(1, None))
            else:
                after, found = _fill_box(model, part, moved)
        kept = _is_better(after, before)
        yield SecondLook(
            region, after, scores if multimask else found, kept if in_box else kept & _shows(region, first)
        )


def region_of(prompts: Prompts, logits: Tensor, size_hw: tuple[int, int], image_size: int) -> Region:
    """The region to look at for one object: around its box, else its first answer, and every click inside it.

    logits: (4h, 4w), the first answer. -> the whole image where a closer look would gain nothing
    """
    boxes = []
    if prompts.points is not None:
        told = (prompts.labels[0] == INCLUDE_LABEL) | (prompts.labels[0] >= BOX_CORNER_LABELS[0])
        points = prompts.points[0, told] / image_size
        boxes += [(*point, *point) for point in points.tolist()]
    if not _has_box(prompts):
        mask = large_part((logits > 0).cpu().numpy(), LARGE_PART)
        if mask.any():
            x0, y0, x1, y1 = mask_boxes(torch.from_numpy(mask)).tolist()
            height, width = mask.shape
            boxes.append((x0 / width, y0 / height, (x1 + 1) / width, (y1 + 1) / height))
    if not boxes:
        return WHOLE_FRAME
    corners = np.clip(boxes, 0, 1)
    x0, y0, x1, y1 = (*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0))
    return region_around(_rounded((x0, y0, x1, y1), size_hw), size_hw)


def _rounded(box: Region, size_hw: tuple[int, int]) -> Region:
    """A square, in pixels, that holds most of a box and is the same for boxes that differ little."""
    height, width = size_hw
    longer = max((box[2] - box[0]) * width, (box[3] - box[1]) * height, 1.0)
    side = 2 ** (math.ceil(math.log2(longer) * STEPS_PER_DOUBLING) / STEPS_PER_DOUBLING)
    step = side / STEPS_PER_SIDE
    x, y = (round((box[i] + box[i + 2]) / 2 * length / step) * step for i, length in enumerate((width, height)))
    half = side / 2
    return (x - half) / width, (y - half) / height, (x + half) / width, (y + half) / height


def prompts_in_region(prompts: Prompts, region: Region, image_size: int) -> Prompts:
    """Prompts on the whole image as prompts on a region of it; clicks outside of it are left out."""
    points, labels, masks = prompts.points, prompts.labels, prompts.masks
    if points is not None:
        points = boxes_in_region(points / image_size, region)
        outside = ((points < 0) | (points > 1)).any(dim=-1) & (labels < BOX_CORNER_LABELS[0])
        points, labels = points * image_size, labels.masked_fill(outside, PADDING_LABEL)
    return Prompts(points, labels, None if masks is None else mask_prompt_in_region(masks, region))


def mask_prompt_in_region(logits: Tensor, region: Region) -> Tensor:
    """Logits on the whole image as a mask prompt on a region: (B, M, 4h, 4w) -> the same shape"""
    return move_logits(logits, WHOLE_FRAME, region).clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)


def _predict(model: SAM2, part: EncodedImage, prompts: Prompts, chosen: slice = ALL) -> tuple[Tensor, Tensor]:
    """The chosen ones of the decoder's four masks for one object: -> logits (M, 4h, 4w), predicted IoU (M,)"""
    found = model.predict_all_masks(part.conditioned, part.features.high_res, prompts)
    return found.logits[0, chosen].float(), found.iou[0, chosen].float()


def _fill_box(model: SAM2, part: EncodedImage, prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Answer a box twice, the second time with the first mask as a prompt, each time by the mask that fills the box
    best: -> logits (1, 4h, 4w), predicted IoU (1,)
    """
    box = prompts.points[0, :2].reshape(1, 4) / model.image_size
    for _ in range(2):
        logits, quality = _predict(model, part, prompts)
        boxes = (mask_boxes(logits > 0) + torch.tensor((0, 0, 1, 1), device=box.device)) / logits.shape[-1]
        best = (quality + box_iou(boxes.float(), box)[:, 0]).argmax()
        prompts = replace(prompts, masks=logits[best].clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)[None, None])
    return logits[best][None], quality[best][None]


def _refine(model: SAM2, part: EncodedImage, prompts: Prompts, before: Tensor) -> tuple[Tensor, Tensor]:
    """Answer with each of M first answers as mask prompt, by the mask that agrees with it most.

    before: (M, 4h, 4w) -> the same shape, predicted IoU (M,)
    """
    count, prior = len(before), before[:, None]
    points, labels = (
        None if value is None else value.expand(count, *value.shape[1:]) for value in (prompts.points, prompts.labels)
    )
    found = model.predict_masks(part.conditioned, part.features.high_res, Prompts(points, labels, prior), True)
    rows, best = torch.arange(count, device=before.device), iou(found.logits > 0, prior > 0).argmax(dim=1)
    return found.logits[rows, best].float(), found.iou[rows, best].float()


def _is_better(after: Tensor, before: Tensor) -> Tensor:
    """Whether each second answer is to be kept, judged by the first: (M, 4h, 4w) twice -> (M,) bool"""
    new, old = after > 0, before > 0
    is_first_empty = ~old.flatten(1).any(dim=1)
    return new.flatten(1).any(dim=1) & (is_first_empty | (iou(new, old) >= AGREES))


def _shows(region: Region, logits: Tensor) -> Tensor:
    """Whether a region shows nearly all of each first answer: (M, 4h, 4w) on the whole image -> (M,) bool"""
    masks = logits > 0
    height, width = masks.shape[-2:]
    x0, y0, x1, y1 = region
    columns = (torch.arange(width, device=masks.device) + 0.5) / width
    rows = (torch.arange(height, device=masks.device) + 0.5) / height
    seen = ((columns >= x0) & (columns <= x1)) & ((rows >= y0) & (rows <= y1))[:, None]
    return (masks & seen).flatten(1).sum(dim=1) >= INSIDE * masks.flatten(1).sum(dim=1)


def _has_box(prompts: Prompts) -> bool:
    return prompts.labels is not None and bool((prompts.labels[0, :1] == BOX_CORNER_LABELS[0]).any())


def _row(prompts: Prompts, row: int) -> Prompts:
    index = slice(row, row + 1)
    return Prompts(
        *(None if value is None else value[index] for value in (prompts.points, prompts.labels, prompts.masks))
    )


def as_mask_input(full: Tensor, side: int) -> Tensor:
    """Logits at the image's size as logits that can go back in: (M, H, W) -> (M, side, side), clamped to +-32"""
    clamped = full.clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)[None]
    low = F.interpolate(clamped, (side, side), mode="bilinear", align_corners=False, antialias=True)[0]
    return low.clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)  # sums of weights exceed 1 by rounding
