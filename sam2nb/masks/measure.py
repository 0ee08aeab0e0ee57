"""Measures of masks: boxes, overlap and stability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor

from sam2nb.masks.rle import Rle

# Everything mode drops an empty mask, as the official generator does: its 0/0 passes no threshold. The official mask
# decoder keeps an empty mask; its rule, 1, is in model/mask_decoder.py.
STABILITY_OF_AN_EMPTY_MASK = 0.0


def stability_score(logits: Tensor, threshold: float = 0.0, offset: float = 1.0) -> Tensor:
    """How little a mask changes when its threshold moves by `offset` both ways (SAM, arXiv 2304.02643, section 5).

    logits: (..., H, W) -> (...), 0 to 1
    """
    inner = torch.count_nonzero(logits > threshold + offset, dim=(-2, -1))
    outer = torch.count_nonzero(logits > threshold - offset, dim=(-2, -1))
    return stability_of_areas(inner, outer)


def stability_of_areas(inner: Tensor, outer: Tensor) -> Tensor:
    """The area above the higher threshold as a share of the area above the lower one."""
    return torch.where(outer > 0, inner / outer, STABILITY_OF_AN_EMPTY_MASK)


def iou(masks: Tensor, others: Tensor) -> Tensor:
    """Intersection over union, 0 where both are empty: (..., H, W) bool, of shapes that broadcast -> (...)"""
    intersection = (masks & others).sum(dim=(-2, -1))
    return intersection / (masks | others).sum(dim=(-2, -1)).clamp(min=1)


def pairwise_iou(masks: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every pair, 0 where both are empty: (N, H, W), (M, H, W) bool -> (N, M) float32"""
    ours, theirs = masks.flatten(1).float(), others.flatten(1).float()
    shared = ours @ theirs.T
    return shared / (ours.sum(1)[:, None] + theirs.sum(1) - shared).clamp(min=1)


def pairwise_rle_iou(rles: Sequence[Rle], others: Sequence[Rle]) -> np.ndarray:
    """Intersection over union of every pair of one size, 0 where both are empty: N and M masks -> (N, M) float64"""
    if not rles or not others:
        return np.zeros((len(rles), len(others)))
    ours, theirs = ([rle.to_coco() for rle in masks] for masks in (rles, others))
    return coco.iou(ours, theirs, [False] * len(theirs))


def mask_boxes(masks: Tensor) -> Tensor:
    """First and last column and row of each mask: (..., H, W) bool -> (..., 4) int64 as (x0, y0, x1, y1), inclusive.

    An empty mask has the box 0, 0, 0, 0, as in the official package.
    """
    if masks.numel() == 0:
        return torch.zeros(*masks.shape[:-2], 4, dtype=torch.int64, device=masks.device)
    sides = []
    for across in (-2, -1):  # first columns, then rows
        used = masks.any(dim=across).int()  # argmax finds the first one
        sides.append((used.argmax(dim=-1), used.shape[-1] - 1 - used.flip(-1).argmax(dim=-1)))
    (x0, x1), (y0, y1) = sides
    boxes = torch.stack((x0, y0, x1, y1), dim=-1)
    return boxes * masks.flatten(-2).any(dim=-1, keepdim=True)


def box_xywh(box_xyxy: Sequence[float]) -> list[float]:
    """(x0, y0, x1, y1) -> [x, y, width, height], with width as x1 - x0 (no + 1), as in official records"""
    x0, y0, x1, y1 = box_xyxy
    return [x0, y0, x1 - x0, y1 - y0]
