"""Regions of a frame: convert boxes, points, masks and pixels between a region and the whole frame.

A region is part of a frame, x1, y1, x2, y2 in 0..1, that the model sees as if it were the frame.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.media.images import masks_to_image
from sam2nb.structures import NO_OBJECT_LOGIT, WHOLE_FRAME, Region

GROWTH = 2.0  # side of a region, in longer sides of the object's box
SMALLEST = 0.25  # of the frame's shorter side
LARGEST = 0.8  # of the frame's longer side: a larger region gains nothing
MASK_THRESHOLD = 0.5  # a pixel of a resized mask is inside from this value on, as in the official package


def pixels_of(region: Region, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a region, at least one of each."""
    slices = []
    for start, end, side in ((region[1], region[3], size_hw[0]), (region[0], region[2], size_hw[1])):
        first = min(round(start * side), side - 1)
        slices.append(slice(first, max(round(end * side), first + 1)))
    return slices[0], slices[1]


def on_pixels(region: Region, size_hw: tuple[int, int]) -> Region:
    """The region whose edges lie between pixels."""
    rows, columns = pixels_of(region, size_hw)
    height, width = size_hw
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height


def region_around(box: Region, size_hw: tuple[int, int], growth: float = GROWTH) -> Region:
    """A square, in pixels, around a box, inside the frame; the whole frame where little would be cut off.

    growth: its side, in longer sides of the box.
    """
    height, width = size_hw
    side = growth * max((box[2] - box[0]) * width, (box[3] - box[1]) * height)
    side = max(side, SMALLEST * min(size_hw))
    if side >= LARGEST * max(size_hw):
        return WHOLE_FRAME
    edges = []
    for start, end, length in ((box[0], box[2], width), (box[1], box[3], height)):
        extent = min(side, length)
        first = min(max((start + end) / 2 * length - extent / 2, 0), length - extent)
        edges.append((first / length, (first + extent) / length))
    (x0, x1), (y0, y1) = edges
    return on_pixels((x0, y0, x1, y1), size_hw)


def crop(image: np.ndarray, region: Region) -> np.ndarray:
    """The pixels of a region: (H, W, 3) -> (h, w, 3)"""
    return image if region == WHOLE_FRAME else np.ascontiguousarray(image[pixels_of(region, image.shape[:2])])


def box_on_frame(box: Region, region: Region) -> Region:
    """A box in 0..1 of a region as one in 0..1 of the frame."""
    x0, y0, width, height = region[0], region[1], region[2] - region[0], region[3] - region[1]
    return x0 + box[0] * width, y0 + box[1] * height, x0 + box[2] * width, y0 + box[3] * height


def boxes_in_region(boxes: Tensor, region: Region) -> Tensor:
    """Boxes (B, 4) or points (…, 2) in 0..1 of the frame as such of a region; they may lie outside of 0..1."""
    corner, size = boxes.new_tensor(region[:2]), boxes.new_tensor((region[2] - region[0], region[3] - region[1]))
    return ((boxes.unflatten(-1, (-1, 2)) - corner) / size).flatten(-2)


def mask_in_region(mask: Tensor, region: Region, side: int) -> Tensor:
    """A given mask as the model sees it in a region: (1, 1, H, W) bool -> (1, 1, side, side) float, 0 or 1"""
    rows, columns = pixels_of(region, tuple(mask.shape[-2:]))
    inside = mask[..., rows, columns].float()
    if tuple(inside.shape[-2:]) == (side, side):
        return inside
    inside = F.interpolate(inside, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return (inside >= MASK_THRESHOLD).float()


def masks_to_frame(logits: Tensor, region: Region, size_hw: tuple[int, int]) -> Tensor:
    """Logits of a region at the frame's size, absent outside: (B, M, 4h, 4w) -> (B, M, H, W) float32"""
    if region == WHOLE_FRAME:
        return masks_to_image(logits, size_hw)
    rows, columns = pixels_of(region, size_hw)
    frame = torch.full((*logits.shape[:2], *size_hw), NO_OBJECT_LOGIT, device=logits.device)
    frame[..., rows, columns] = masks_to_image(logits, (rows.stop - rows.start, columns.stop - columns.start))
    return frame


def move_logits(logits: Tensor, region: Region, target: Region) -> Tensor:
    """Logits of one region as those of another, absent where they do not overlap: (B, M, 4h, 4w) -> the same shape"""
    if region == target:
        return logits
    side = logits.shape[-1]
    steps = (torch.arange(side, device=logits.device) + 0.5) / side
    x, y = target[0] + steps * (target[2] - target[0]), target[1] + steps * (target[3] - target[1])
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    inside = boxes_in_region(points, region)
    grid = (inside * 2 - 1).expand(len(logits), -1, -1, -1)
    moved = F.grid_sample(logits.float(), grid, "bilinear", "border", align_corners=False)
    within = ((inside >= 0) & (inside <= 1)).all(dim=-1)
    return torch.where(within, moved, NO_OBJECT_LOGIT)
