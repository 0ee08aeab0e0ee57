"""Candidate masks of everything mode, and the filters on them.

A point grid gives thousands of masks; most are poor, or show an object that another point has found already. The
filters drop (SAM, arXiv 2304.02643, appendix B), in this order: masks that are unstable under a shifted threshold,
masks cut off by the edge of a crop, and of masks with nearly the same box all but the best. Masks of low predicted IoU
have been dropped before (`decode.py`). Every filter takes candidates and returns candidates.

Differs from the official package: empty masks are dropped by a filter of their own, not because 0/0 compares false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from sam2nb.masks.regions import clean_rle
from sam2nb.masks.rle import Rle
from sam2nb.predict.everything.crops import is_cut_off


@dataclass(frozen=True)
class Candidates:
    """N masks and the scores they are filtered by, on the CPU and in pixels of the image.

    points: (N, 2) float32, the prompt (x, y). predicted_iou, stability: (N,) float32.
    boxes: (N, 4) int64 (x0, y0, x1, y1), both corners inclusive. crop_boxes: (N, 4) int64, one past the end.
    rles: N masks.
    """

    points: Tensor
    predicted_iou: Tensor
    stability: Tensor
    boxes: Tensor
    crop_boxes: Tensor
    rles: tuple[Rle, ...]

    def __len__(self) -> int:
        return len(self.rles)

    def select(self, keep: Tensor) -> Candidates:
        """The candidates of some rows. keep: (N,) bool, or indices in the order wanted"""
        rows = keep.nonzero().flatten() if keep.dtype == torch.bool else keep
        tensors = {name: getattr(self, name)[rows] for name in TENSOR_FIELDS}
        return Candidates(**tensors, rles=tuple(self.rles[row] for row in rows.tolist()))


TENSOR_FIELDS = tuple(field.name for field in fields(Candidates) if field.name != "rles")


@dataclass(frozen=True)
class Survivors:
    """Number of points, of their masks, and of the masks left after each filter; over all crops or tiles."""

    points: int = 0
    masks: int = 0
    confident: int = 0
    stable: int = 0
    whole: int = 0
    distinct: int = 0
    records: int = 0

    def __add__(self, other: Survivors) -> Survivors:
        return Survivors(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        return " > ".join(f"{count} {step}" for step, count in asdict(self).items())


def no_candidates() -> Candidates:
    """Candidates without any mask."""
    return Candidates(
        points=torch.zeros(0, 2),
        predicted_iou=torch.zeros(0),
        stability=torch.zeros(0),
        boxes=torch.zeros(0, 4, dtype=torch.int64),
        crop_boxes=torch.zeros(0, 4, dtype=torch.int64),
        rles=(),
    )


def join_candidates(parts: Sequence[Candidates]) -> Candidates:
    """The candidates of several batches or crops, one after the other."""
    parts = [no_candidates(), *parts]
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in TENSOR_FIELDS}
    return Candidates(**tensors, rles=tuple(rle for part in parts for rle in part.rles))


def drop_empty(candidates: Candidates) -> Candidates:
    """Drop masks without a pixel."""
    return candidates.select(torch.tensor([rle.area > 0 for rle in candidates.rles], dtype=torch.bool))


def drop_unstable(candidates: Candidates, threshold: float) -> Candidates:
    """Keep masks that hardly change when the mask threshold moves."""
    return candidates.select(candidates.stability >= threshold)


def drop_cut_off(candidates: Candidates, size_hw: tuple[int, int]) -> Candidates:
    """Drop masks that end at the edge of their crop, but not of the image; another crop has them whole."""
    return candidates.select(~is_cut_off(candidates.boxes, candidates.crop_boxes, size_hw))


def drop_duplicates(candidates: Candidates, box_iou: float) -> Candidates:
    """Of masks whose boxes overlap by more than `box_iou`, keep the one of highest predicted IoU; best first."""
    return candidates.select(distinct(candidates.boxes, candidates.predicted_iou, box_iou))


def drop_duplicates_between_crops(candidates: Candidates, box_iou: float) -> Candidates:
    """Of masks whose boxes overlap by more than `box_iou`, keep the one from the smallest crop: it has most detail."""
    x0, y0, x1, y1 = candidates.crop_boxes.unbind(dim=1)
    return candidates.select(distinct(candidates.boxes, 1 / ((x1 - x0) * (y1 - y0)), box_iou))


def clean_small_regions(candidates: Candidates, min_area: int, box_iou: float) -> Candidates:
    """Fill holes and drop islands of fewer than `min_area` pixels, then drop masks that have become duplicates.

    Among duplicates a mask that needed no cleaning stays. The order does not change.
    """
    if min_area <= 0 or len(candidates) == 0:
        return candidates
    rles, changed = zip(*(clean_rle(rle, min_area) for rle in candidates.rles), strict=True)
    cleaned = replace(candidates, rles=rles, boxes=torch.tensor([rle.box for rle in rles]))
    untouched = 1.0 - torch.tensor(changed, dtype=torch.float32)
    return cleaned.select(distinct(cleaned.boxes, untouched, box_iou).sort().values)


def distinct(boxes: Tensor, scores: Tensor, box_iou: float) -> Tensor:
    """Indices of the boxes that survive non-maximum suppression, best score first."""
    # one category for all; `batched_nms` orders equal scores as the official package does
    return batched_nms(boxes.float(), scores, torch.zeros(len(boxes), dtype=torch.int64), box_iou)
