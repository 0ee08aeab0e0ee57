"""Connected regions of masks: fill small holes, drop small islands, resolve overlaps.

Differs from the official package: it cleans with a compiled CUDA extension and silently skips the step where that is
missing; here OpenCV finds the regions on every device.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from sam2nb.masks.rle import Rle, rle_from_mask, uncrop_rle

DIAGONAL_NEIGHBOURS_TOUCH = 8  # OpenCV connectivity: pixels that meet at a corner are one region, as in official code
# How far beyond the threshold the logits of changed pixels end up, as in the official predictors
VIDEO_MARGIN = 0.1
IMAGE_MARGIN = 10.0
OVERLAP_LOGIT = -10.0  # upper limit of a logit where another object wins, as in the official package


def clean_masks(
    logits: Tensor,
    max_hole_area: float,
    max_sprinkle_area: float,
    threshold: float = 0.0,
    margin: float = VIDEO_MARGIN,
) -> Tensor:
    """Fill holes of up to `max_hole_area` pixels and drop islands of up to `max_sprinkle_area`; 0 leaves them.

    The largest region of a mask always stays. Pixels that change end up `margin` beyond the threshold.

    logits: (..., H, W) -> (..., H, W)
    """
    if max_hole_area <= 0 and max_sprinkle_area <= 0:
        return logits
    inside = (logits > threshold).cpu().numpy()
    cleaned = inside.copy()
    for mask in cleaned.reshape(-1, *inside.shape[-2:]):
        filled, _ = fill_small_holes(mask, int(max_hole_area) + 1)
        mask[:], _ = drop_small_islands(filled, int(max_sprinkle_area) + 1)
    if np.array_equal(cleaned, inside):
        return logits
    before, after = (torch.from_numpy(masks).to(logits.device) for masks in (inside, cleaned))
    logits = torch.where(after & ~before, threshold + margin, logits)
    return torch.where(before & ~after, threshold - margin, logits)


def clean_rle(rle: Rle, min_area: int) -> tuple[Rle, bool]:
    """Fill holes, then drop islands, of fewer than `min_area` pixels; decodes only the mask's box and a border.

    -> the mask, whether it changed
    """
    if rle.area == 0:
        return rle, False
    (height, width), (left, top, right, bottom) = rle.size_hw, rle.box
    # Background beside the box may itself be a small region: then decode all of it, otherwise a border is enough.
    x0 = 0 if left * height < min_area else left - 1
    y0 = 0 if top * width < min_area else top - 1
    x1 = width if (width - 1 - right) * height < min_area else right + 2
    y1 = height if (height - 1 - bottom) * width < min_area else bottom + 2
    mask = rle.window(x0, y0, x1, y1)
    continues = np.zeros_like(mask)
    continues[0] |= y0 > 0
    continues[-1] |= y1 < height
    continues[:, 0] |= x0 > 0
    continues[:, -1] |= x1 < width
    filled, had_holes = fill_small_holes(mask, min_area, continues & ~mask)
    kept, had_islands = drop_small_islands(filled, min_area)
    if not (had_holes or had_islands):
        return rle, False
    return uncrop_rle(rle_from_mask(kept), (x0, y0), rle.size_hw), True


def fill_small_holes(mask: np.ndarray, min_area: int, continues: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
    """Fill background regions of fewer than `min_area` pixels.

    mask: (H, W) bool -> the mask, whether it changed
    continues: (H, W) bool, background pixels beyond which the image continues; their regions are never filled.
    """
    if min_area <= 1:
        return mask, False
    count, labels, areas = _regions(~mask)
    is_small = areas < min_area
    is_small[0] = False  # label 0 is the mask itself
    if continues is not None:
        is_small[labels[continues]] = False
    if count == 1 or not is_small.any():
        return mask, False
    return mask | is_small[labels], True


def drop_small_islands(mask: np.ndarray, min_area: int) -> tuple[np.ndarray, bool]:
    """Drop regions of fewer than `min_area` pixels; if all are that small, keep the largest.

    mask: (H, W) bool -> the mask, whether it changed
    """
    if min_area <= 1:
        return mask, False
    count, labels, areas = _regions(mask)
    is_large = areas >= min_area
    is_large[0] = False  # label 0 is the background
    if is_large.sum() == count - 1:
        return mask, False
    if not is_large.any():
        is_large[1 + int(np.argmax(areas[1:]))] = True
    return is_large[labels], True


def large_parts(masks: Tensor, share: float) -> Tensor:
    """Masks without the regions smaller than this share of their largest one: (B, H, W) bool -> (B, H, W)"""
    kept = masks.cpu().numpy().copy()
    for mask in kept:
        mask[:] = large_part(mask, share)
    return torch.from_numpy(kept).to(masks.device)


def large_part(mask: np.ndarray, share: float) -> np.ndarray:
    """A mask without the regions smaller than this share of its largest one: (H, W) bool -> (H, W)"""
    _, labels, areas = _regions(mask)
    areas[0] = 0  # the background
    return mask & (areas >= share * areas.max())[labels]


def _regions(mask: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Connected components -> number of labels, label of each pixel (H, W) with 0 outside, area of each label"""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), DIAGONAL_NEIGHBOURS_TOUCH)
    return count, labels, stats[:, cv2.CC_STAT_AREA]


def separate(logits: Tensor) -> Tensor:
    """Give every pixel to the object with the highest logit there: (N, 1, H, W) -> (N, 1, H, W)"""
    if len(logits) < 2:
        return logits
    winner = logits.argmax(dim=0, keepdim=True)
    index = torch.arange(len(logits), device=logits.device).view(-1, 1, 1, 1)
    return torch.where(winner == index, logits, logits.clamp(max=OVERLAP_LOGIT))
