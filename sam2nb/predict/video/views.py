"""Parts of a frame on a grid: sampled for matching, placed around objects, pasted back on the frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.masks.measure import mask_boxes
from sam2nb.masks.regions import large_parts
from sam2nb.structures import WHOLE_FRAME, Region

GRID = 32  # cells on a side, of the whole frame and of a region
FOUND, FOUND_OF_BEST = 0.15, 0.4  # a coarse cell may show the object from this probability on, absolute and relative
LARGE_PART = 0.3  # of the largest connected part: smaller ones do not count for the box
GROWTH, MARGIN, SMALLEST = 1.6, 0.08, 0.2  # of a region around a box: relative, and in sides of the frame
COVERAGE_SAMPLES = 4  # per cell and axis


class View(NamedTuple):
    """Part of a frame on a grid of N = GRID x GRID cells, and where B objects are in it.

    box: (4,), its x1, y1, x2, y2 in 0..1 of the frame. cells: (N, C), features of unit length. covered: (B, N), the
    share of each cell that an object covers, None where that is not known yet.
    """

    box: Tensor
    cells: Tensor
    covered: Tensor | None = None


def centred(embedding: Tensor) -> Tensor:
    """The image embedding without its mean over the frame, which all cells have in common: (1, C, h, w)"""
    embedding = embedding.float()
    return embedding - embedding.mean(dim=(2, 3), keepdim=True)


def contrast_of(embedding: Tensor) -> float:
    """The part of an image embedding that varies over the frame, 0 to 1: low for a frame of one colour."""
    embedding = embedding.float()
    return float((centred(embedding).pow(2).mean() / embedding.pow(2).mean()).sqrt())


def view_frame(embedding: Tensor) -> View:
    """The whole frame, without labels."""
    box = torch.tensor(WHOLE_FRAME, device=embedding.device)
    cells = F.adaptive_avg_pool2d(embedding, GRID)[0].flatten(1).T
    return View(box, F.normalize(cells, dim=1))


def view_region(embedding: Tensor, box: Tensor) -> Tensor:
    """Features of a region, enlarged by bicubic interpolation: embedding (1, C, h, w), box (4,) -> (N, C)"""
    sampled = F.grid_sample(embedding, _sampling_grid(box, GRID), "bicubic", "border", align_corners=False)
    return F.normalize(sampled[0].flatten(1).T, dim=1)


def coverage(mask: Tensor, box: Tensor) -> Tensor:
    """The share of each cell of a region that a mask covers: mask (1, H, W), box (4,) -> (1, N)"""
    fine = F.grid_sample(mask[None], _sampling_grid(box, GRID * COVERAGE_SAMPLES), align_corners=False)
    return F.avg_pool2d(fine, COVERAGE_SAMPLES)[0].flatten(1)


def _sampling_grid(box: Tensor, side: int) -> Tensor:
    """The centres of side x side cells of a box, as `grid_sample` takes them: -> (1, side, side, 2)"""
    steps = (torch.arange(side, device=box.device) + 0.5) / side
    x, y = box[0] + steps * (box[2] - box[0]), box[1] + steps * (box[3] - box[1])
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None] * 2 - 1


def boxes_of(logits: Tensor) -> Tensor:
    """Boxes of masks in 0..1, zeros for an empty one: (B, 1, H, W) -> (B, 4)"""
    return outer_boxes(logits[:, 0] > 0) / logits.shape[-1]


def outer_boxes(masks: Tensor) -> Tensor:
    """Boxes from the first pixel to the end of the last, zeros for an empty mask: (B, H, W) -> (B, 4)"""
    end = masks.flatten(1).any(dim=1, keepdim=True) * torch.tensor((0, 0, 1, 1), device=masks.device)
    return mask_boxes(masks) + end


def regions_to_search(found: Tensor, last: Tensor, seen: Region = WHOLE_FRAME) -> Tensor:
    """A region around the cells that may show the object and around its last box, else the whole frame: -> (B, 4)

    found: (B, N), 0 to 1, on a grid over `seen`; last: (B, 4), zeros if the object was absent.
    """
    threshold = (FOUND_OF_BEST * found.amax(dim=1, keepdim=True)).clamp(min=FOUND)
    boxes = on_frame(outer_boxes(large_parts((found > threshold).unflatten(1, (GRID, GRID)), LARGE_PART)) / GRID, seen)
    exists = [(box[:, 2] > box[:, 0])[:, None] for box in (boxes, last)]
    both = torch.cat((torch.minimum(boxes, last)[:, :2], torch.maximum(boxes, last)[:, 2:]), dim=1)
    return grown(torch.where(exists[0] & exists[1], both, torch.where(exists[0], boxes, last)))


def on_frame(boxes: Tensor, region: Region) -> Tensor:
    """Boxes in 0..1 of a region as such of the frame; an empty one stays zeros: (B, 4) -> (B, 4)"""
    if region == WHOLE_FRAME:
        return boxes
    corner, size = boxes.new_tensor(region[:2]), boxes.new_tensor((region[2] - region[0], region[3] - region[1]))
    moved = (boxes.unflatten(1, (2, 2)) * size + corner).flatten(1)
    return moved * boxes.any(dim=1, keepdim=True)


def within(boxes: Tensor, region: Region) -> Tensor:
    """Boxes cut off at the edges of a region; what lies outside becomes the region: (B, 4) -> (B, 4)"""
    edges = boxes.new_tensor(region)
    cut = torch.cat((torch.maximum(boxes[:, :2], edges[:2]), torch.minimum(boxes[:, 2:], edges[2:])), dim=1)
    return torch.where((cut[:, 2:] > cut[:, :2]).all(dim=1, keepdim=True), cut, edges)


def grown(boxes: Tensor) -> Tensor:
    """Regions around boxes, with a margin and of a least size; an empty box becomes the whole frame: (B, 4)"""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half = torch.maximum(size * GROWTH, size + MARGIN).clamp(min=SMALLEST) / 2
    regions = torch.cat((centre - half, centre + half), dim=1).clamp(0, 1)
    return torch.where(size.any(dim=1, keepdim=True), regions, torch.tensor(WHOLE_FRAME, device=boxes.device))


def paste(soft: Tensor, regions: Tensor, side: int) -> Tensor:
    """Labels of regions on the whole frame, zero outside: soft (B, N), regions (B, 4) -> (B, 1, side, side)"""
    start, size = regions[:, :2], regions[:, 2:] - regions[:, :2]
    everywhere = torch.tensor(WHOLE_FRAME, device=soft.device)
    frame = (_sampling_grid(everywhere, side) + 1) / 2
    inside = (frame - start[:, None, None]) / size[:, None, None] * 2 - 1
    return F.grid_sample(soft.unflatten(1, (1, GRID, GRID)), inside, align_corners=False)


def nearby(query_box: Tensor, key_box: Tensor, reach: float) -> Tensor:
    """Whether the cells of one view are within reach, in its sides, of those of another: boxes (4,) -> (N, N) bool"""
    steps = (torch.arange(GRID, device=query_box.device) + 0.5) / GRID
    near = []
    for start, end in ((0, 2), (1, 3)):  # x, then y
        side = query_box[end] - query_box[start]
        query = query_box[start] + steps * side
        key = key_box[start] + steps * (key_box[end] - key_box[start])
        near.append((query[:, None] - key).abs() <= reach * side)
    near_x, near_y = near
    return (near_y[:, None, :, None] & near_x[None, :, None, :]).reshape(GRID * GRID, GRID * GRID)


def move_view(view: View, device: torch.device) -> View:
    return View(*(part.to(device) for part in view))
