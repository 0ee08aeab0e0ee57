"""The helpers of everything mode, by the names of `sam2.utils.amg`.

Left out: MaskData and batch_iterator, which have no equal here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.masks.measure import box_xywh, mask_boxes, stability_score
from sam2nb.masks.regions import drop_small_islands, fill_small_holes
from sam2nb.masks.rle import as_rle, rle_from_mask
from sam2nb.predict.everything.crops import NEAR_EDGE_PIXELS, crop_layers, is_cut_off, point_grid, point_grids

REGION_MODES = {"holes": fill_small_holes, "islands": drop_small_islands}


def is_box_near_crop_edge(
    boxes: Tensor, crop_box: Sequence[int], orig_box: Sequence[int], atol: float = NEAR_EDGE_PIXELS
) -> Tensor:
    """Whether boxes end at the edge of their crop, but not of the image: (N, 4) in pixels of the crop -> (N,) bool

    crop_box, orig_box: x0, y0, x1, y1 of the crop, and of the image (0, 0, width, height). atol: in pixels.
    """
    size_hw = (orig_box[3], orig_box[2])
    on_image = uncrop_boxes_xyxy(boxes, crop_box).cpu()
    return is_cut_off(on_image, torch.tensor([list(crop_box)]), size_hw, atol).to(boxes.device)


def box_xyxy_to_xywh(box_xyxy: Tensor) -> Tensor:
    """(4,) as x0, y0, x1, y1 -> (4,) as x, y, width, height"""
    return torch.stack(box_xywh(box_xyxy))


def mask_to_rle_pytorch(tensor: Tensor) -> list[dict[str, Any]]:
    """Masks (B, H, W) -> a list of B run lengths, {"size": [h, w], "counts": [ints]}"""
    return [rle_from_mask(mask).to_dict() for mask in tensor.cpu().numpy()]


def rle_to_mask(rle: dict[str, Any]) -> np.ndarray:
    """Run lengths -> (H, W) bool"""
    return as_rle(rle).to_mask()


def area_from_rle(rle: dict[str, Any]) -> int:
    """The number of pixels in a mask given as run lengths."""
    return as_rle(rle).area


def coco_encode_rle(uncompressed_rle: dict[str, Any]) -> dict[str, Any]:
    """Run lengths as a list -> COCO's compressed form, counts as text"""
    return as_rle(uncompressed_rle).to_coco()


def calculate_stability_score(masks: Tensor, mask_threshold: float, threshold_offset: float) -> Tensor:
    """How little masks change when their threshold moves: logits (..., H, W) -> (...), 0 for an empty mask"""
    return stability_score(masks, mask_threshold, threshold_offset)


def build_point_grid(n_per_side: int) -> np.ndarray:
    """The centres of n x n cells of the unit square: (n * n, 2) as (x, y)"""
    return point_grid(n_per_side)


def build_all_layer_point_grids(n_per_side: int, n_layers: int, scale_per_layer: int) -> list[np.ndarray]:
    """Point grids for the image and each layer of crops; ValueError if a layer would have no point."""
    return point_grids(n_per_side, n_layers, scale_per_layer)


def generate_crop_boxes(
    im_size: tuple[int, ...], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """Boxes (x0, y0, x1, y1) of the image and its crops, layer by layer, and the layer of each."""
    crops = crop_layers((im_size[0], im_size[1]), n_layers, overlap_ratio)
    return [list(crop.box) for crop in crops], [crop.layer for crop in crops]


def uncrop_boxes_xyxy(boxes: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Boxes (N, 4) in pixels of a crop -> in pixels of the image"""
    return boxes + torch.tensor([*crop_box[:2], *crop_box[:2]], device=boxes.device)


def uncrop_points(points: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Points (..., 2) in pixels of a crop -> in pixels of the image"""
    return points + torch.tensor(list(crop_box[:2]), device=points.device)


def uncrop_masks(masks: Tensor, crop_box: Sequence[int], orig_h: int, orig_w: int) -> Tensor:
    """Masks (..., h, w) of a crop -> (..., orig_h, orig_w) of the image, zero outside the crop"""
    x0, y0, x1, y1 = crop_box
    return F.pad(masks, (x0, orig_w - x1, y0, orig_h - y1))


def remove_small_regions(mask: np.ndarray, area_thresh: float, mode: str) -> tuple[np.ndarray, bool]:
    """Fill holes or drop islands of fewer than `area_thresh` pixels: (H, W) bool -> the mask, whether it changed

    mode: "holes" or "islands"; ValueError for another.
    """
    if mode not in REGION_MODES:
        raise ValueError(f"mode must be one of {', '.join(REGION_MODES)}, got {mode!r}")
    return REGION_MODES[mode](np.asarray(mask, dtype=bool), math.ceil(area_thresh))


def batched_mask_to_box(masks: Tensor) -> Tensor:
    """First and last column and row of each mask: (..., H, W) bool -> (..., 4), zeros for an empty one"""
    return mask_boxes(masks)


__all__ = [
    "area_from_rle",
    "batched_mask_to_box",
    "box_xyxy_to_xywh",
    "build_all_layer_point_grids",
    "build_point_grid",
    "calculate_stability_score",
    "coco_encode_rle",
    "generate_crop_boxes",
    "is_box_near_crop_edge",
    "mask_to_rle_pytorch",
    "remove_small_regions",
    "rle_to_mask",
    "uncrop_boxes_xyxy",
    "uncrop_masks",
    "uncrop_points",
]
