"""The candidates of everything mode, and what makes them fewer. Every function takes candidates and returns candidates.

A point grid asks hundreds of times; most answers are poor, or the same thing seen from another point. In this order
they go (SAM, arXiv 2304.02643, appendix B): below the quality the model itself predicts, unstable under a shifted
threshold, cut off by the edge of a crop, and those whose box is nearly that of a better one.

Differs from official: masks without a single pixel are dropped by a rule of their own, not by 0/0 comparing false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from sam2nb.masks.regions import clean_rle
from sam2nb.masks.rle import Rle
from sam2nb.predict.everything.crops import is_cut_off


@dataclass(frozen=True)
class Candidates:
    """N masks with all that decides about them, on the CPU.

    points: (N, 2) float32, the prompt (x, y). predicted_iou, stability: (N,) float32.
    boxes: (N, 4) int64 (x0, y0, x1, y1), both corners inclusive. crop_boxes: (N, 4) int64, one past the end.
    rles: N masks. All in pixels of the picture.
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
        """keep: (N,) bool, or indices in the order wanted"""
        rows = keep.nonzero().flatten() if keep.dtype == torch.bool else keep
        tensors = {name: getattr(self, name)[rows] for name in TENSOR_FIELDS}
        return Candidates(**tensors, rles=tuple(self.rles[row] for row in rows.tolist()))


TENSOR_FIELDS = tuple(field.name for field in fields(Candidates) if field.name != "rles")


def no_candidates() -> Candidates:
    """What a picture without any mask gives."""
    return Candidates(
        points=torch.zeros(0, 2),
        predicted_iou=torch.zeros(0),
        stability=torch.zeros(0),
        boxes=torch.zeros(0, 4, dtype=torch.int64),
        crop_boxes=torch.zeros(0, 4, dtype=torch.int64),
        rles=(),
    )


def concatenate(parts: Sequence[Candidates]) -> Candidates:
    """One after the other."""
    parts = [no_candidates(), *parts]
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in TENSOR_FIELDS}
    return Candidates(**tensors, rles=tuple(rle for part in parts for rle in part.rles))


def drop_empty(candidates: Candidates) -> Candidates:
    """Masks have at least one pixel."""
    return candidates.select(torch.tensor([rle.area > 0 for rle in candidates.rles], dtype=torch.bool))


def drop_unstable(candidates: Candidates, threshold: float) -> Candidates:
    """Keep what hardly changes when the mask threshold moves."""
    return candidates.select(candidates.stability >= threshold)


def drop_cut_off(candidates: Candidates, size_hw: tuple[int, int]) -> Candidates:
    """Drop what ends where its crop ends but the picture goes on; another crop sees it whole."""
    return candidates.select(~is_cut_off(candidates.boxes, candidates.crop_boxes, size_hw))


def drop_duplicates(candidates: Candidates, box_iou: float) -> Candidates:
    """Of masks whose boxes overlap by more than `box_iou` keep the one of best predicted quality; best first."""
    return candidates.select(distinct(candidates.boxes, candidates.predicted_iou, box_iou))


def drop_duplicates_of_crops(candidates: Candidates, box_iou: float) -> Candidates:
    """The same among crops: the mask from the smaller crop stays, it was seen larger."""
    x0, y0, x1, y1 = candidates.crop_boxes.unbind(dim=1)
    return candidates.select(distinct(candidates.boxes, 1 / ((x1 - x0) * (y1 - y0)), box_iou))


def clean_small_regions(candidates: Candidates, min_area: int, box_iou: float) -> Candidates:
    """Fill holes and drop islands of fewer than `min_area` pixels, then drop what has become a duplicate.

    Among duplicates a mask that needed no cleaning stays. The order does not change.
    """
    if min_area <= 0 or len(candidates) == 0:
        return candidates
    rles, changed = zip(*(clean_rle(rle, min_area) for rle in candidates.rles), strict=True)
    cleaned = replace(candidates, rles=rles, boxes=torch.tensor([rle.box for rle in rles]))
    untouched = 1.0 - torch.tensor(changed, dtype=torch.float32)
    return cleaned.select(distinct(cleaned.boxes, untouched, box_iou).sort().values)


def distinct(boxes: Tensor, scores: Tensor, box_iou: float) -> Tensor:
    """Indices that survive non-maximum suppression, best score first."""
    # one category for all; `batched_nms` orders equal scores as official does
    return batched_nms(boxes.float(), scores, torch.zeros(len(boxes), dtype=torch.int64), box_iou)
