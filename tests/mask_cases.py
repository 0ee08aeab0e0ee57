"""Masks, logits and candidates that several tests share."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from sam2nb.masks.rle import as_rle

DENSITIES = (0.0, 0.05, 0.5, 0.95, 1.0)
OPEN = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}  # drops no mask


def random_masks(count: int = 40) -> list[np.ndarray]:
    """Masks of up to 39 x 39 pixels, from empty to full."""
    rng = np.random.default_rng(0)
    return [rng.random(tuple(rng.integers(1, 40, 2))) < DENSITIES[i % len(DENSITIES)] for i in range(count)]


def size_of(mask: np.ndarray) -> str:
    return f"{mask.shape[0]}x{mask.shape[1]}"


def rectangle(size_hw: tuple[int, int], x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """A mask of columns x0 to x1 and rows y0 to y1, both one past the last."""
    mask = np.zeros(size_hw, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def smooth_logits(count: int, side: int = 64) -> torch.Tensor:
    """Logits like those of a decoder: one soft disc each, some partly or wholly outside."""
    torch.manual_seed(1)
    rough = F.avg_pool2d(torch.randn(count, 1, side, side), 9, 1, 4, count_include_pad=False)[:, 0] * 15
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    centre = torch.rand(count, 2, 1, 1) * side * 1.2
    radius = torch.rand(count, 1, 1) * side * 0.5
    return rough + radius - ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2).sqrt()


def same_records(ones: list[dict], others: list[dict]) -> bool:
    """Whether two lists of records are equal, whatever the form of their masks."""
    ones, others = (
        [dict(record, segmentation=as_rle(record["segmentation"]).to_dict()) for record in records]
        for records in (ones, others)
    )
    return ones == others
