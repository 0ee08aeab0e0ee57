"""Masks as runs: the pure functions of everything mode (SAM, arXiv 2304.02643, appendix B "automatic mask generation").

A photograph of 3000 x 2000 pixels costs six megabytes per boolean mask but only some ten kilobytes as run lengths. So
masks are kept as `Rle` and become arrays only where somebody looks at the pixels. The layout is COCO's: column after
column, beginning with a run of background (of length 0 where the first pixel belongs to the mask).

Differs from official: small holes and islands are measured in image pixels, on every device (there: on the 256 x 256
logits and only with a compiled CUDA extension); the boxes and areas come from the runs, so nothing here needs the
whole picture at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor

DIAGONAL_NEIGHBOURS_TOUCH = 8  # OpenCV connectivity: pixels that meet at a corner are one region, as in official
EMPTY_BOX = (0, 0, 0, 0)


@dataclass(frozen=True)
class Rle:
    """One mask as run lengths.

    size_hw: height and width of the picture.
    counts: uint32 lengths of background, mask, background, …, column after column.
    """

    size_hw: tuple[int, int]
    counts: np.ndarray

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.counts[1::2].sum(dtype=np.int64))

    @property
    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the runs of the mask start and where they end (one past), as offsets into the columns laid end to
        end.
        """
        edges = np.cumsum(self.counts, dtype=np.int64)
        ends = edges[1::2]
        return edges[0::2][: len(ends)], ends

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First and last column and row as (x0, y0, x1, y1), both inclusive as in official; zeros for an empty mask."""
        starts, ends = self.runs
        if len(starts) == 0:
            return EMPTY_BOX
        height = self.size_hw[0]
        (first_column, first_row), (last_column, last_row) = divmod(starts, height), divmod(ends - 1, height)
        # a run that goes on in the next column touches the bottom and the top of the picture
        wraps = bool((first_column != last_column).any())
        top = 0 if wraps else int(first_row.min())
        bottom = height - 1 if wraps else int(last_row.max())
        return int(first_column[0]), top, int(last_column[-1]), bottom

    def to_dict(self) -> dict[str, Any]:
        """Official's uncompressed form: {"size": [h, w], "counts": [ints]}"""
        return {"size": list(self.size_hw), "counts": self.counts.tolist()}

    def to_coco(self) -> dict[str, Any]:
        """COCO's compressed form with counts as text, ready for json."""
        packed = coco.frPyObjects({"size": list(self.size_hw), "counts": self.counts}, *self.size_hw)
        return {"size": list(self.size_hw), "counts": packed["counts"].decode("ascii")}

    def to_mask(self) -> np.ndarray:
        """The pixels: (H, W) bool"""
        height, width = self.size_hw
        return self.window(0, 0, width, height)

    def window(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """The pixels of columns x0 to x1 and rows y0 to y1 (both one past the last): (y1 - y0, x1 - x0) bool"""
        height = self.size_hw[0]
        starts, ends = (np.clip(edge, x0 * height, x1 * height) - x0 * height for edge in self.runs)
        edges = np.stack((starts, ends), axis=1).reshape(-1)
        lengths = np.diff(edges, prepend=0, append=(x1 - x0) * height)
        inside = np.arange(len(lengths)) % 2 == 1
        return np.repeat(inside, lengths).reshape(x1 - x0, height).T[y0:y1]


def rle_from_runs(starts: np.ndarray, ends: np.ndarray, size_hw: tuple[int, int]) -> Rle:
    """Sorted runs of a mask as offsets into the columns laid end to end; runs that touch are joined."""
    if len(starts) == 0:
        return Rle(size_hw, np.array([size_hw[0] * size_hw[1]], dtype=np.uint32))
    apart = starts[1:] != ends[:-1]
    starts = starts[np.concatenate(([True], apart))]
    ends = ends[np.concatenate((apart, [True]))]
    edges = np.stack((starts, ends), axis=1).reshape(-1)
    counts = np.diff(edges, prepend=0)
    left = size_hw[0] * size_hw[1] - int(ends[-1])
    return Rle(size_hw, (np.append(counts, left) if left else counts).astype(np.uint32))


def rle_from_mask(mask: np.ndarray) -> Rle:
    """mask: (H, W), anything but zero belongs to the mask"""
    flat = np.zeros(mask.size + 2, dtype=bool)
    flat[1:-1] = np.asarray(mask, dtype=bool).T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return rle_from_runs(edges[0::2], edges[1::2], (mask.shape[0], mask.shape[1]))


def as_rle(segmentation: Any) -> Rle:
    """A record's "segmentation" in any of its forms, or an `Rle` -> Rle"""
    if isinstance(segmentation, Rle):
        return segmentation
    if isinstance(segmentation, np.ndarray):
        return rle_from_mask(segmentation)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= set(segmentation):
        raise TypeError(
            "segmentation must be an (H, W) array or a dict with 'size' and 'counts' (run lengths, plain or as COCO's "
            f"text), got {type(segmentation).__name__}"
        )
    height, width = (int(side) for side in segmentation["size"])
    counts = segmentation["counts"]
    rle = Rle(
        (height, width), unpack_counts(counts) if isinstance(counts, (str, bytes)) else np.array(counts, np.uint32)
    )
    if int(rle.counts.sum(dtype=np.int64)) != height * width:
        raise ValueError(f"segmentation is damaged: its run lengths do not add up to {height} x {width} pixels")
    return rle


def unpack_counts(text: str | bytes) -> np.ndarray:
    """COCO's compressed counts -> run lengths, uint32.

    Each number is written in groups of five bits, lowest first; from the fourth on it is the difference to the one
    before the last.
    """
    codes = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, dtype=np.uint8).astype(np.int64) - 48
    if len(codes) == 0:
        return np.zeros(0, dtype=np.uint32)
    last = (codes & 0x20) == 0
    number = np.concatenate(([0], np.cumsum(last)[:-1]))
    group = np.arange(len(codes)) - np.flatnonzero(np.concatenate(([True], last[:-1])))[number]
    values = np.zeros(int(number[-1]) + 1, dtype=np.int64)
    np.add.at(values, number, (codes & 0x1F) << (5 * group))
    negative = (codes[last] & 0x10) != 0
    values[negative] -= 1 << (5 * (group[last][negative] + 1))
    # undo the differences: numbers 1, 3, 5, … and 2, 4, 6, … are two running sums; the very first stands alone
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values.astype(np.uint32)


def place_rle(rle: Rle, corner_xy: tuple[int, int], size_hw: tuple[int, int]) -> Rle:
    """The mask of a crop as a mask of the picture, background around it.

    corner_xy: where the crop's upper left pixel lies in the picture of `size_hw`.
    """
    (height, _), (x0, y0) = rle.size_hw, corner_xy
    if rle.size_hw == size_hw:
        return rle
    starts, ends = split_at_columns(*rle.runs, height)
    columns = starts // height
    shift = (columns + x0) * size_hw[0] + y0 - columns * height
    return rle_from_runs(starts + shift, ends + shift, size_hw)


def split_at_columns(starts: np.ndarray, ends: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Runs, none of which is longer than its column."""
    first, last = starts // height, (ends - 1) // height
    pieces = last - first + 1
    if (pieces == 1).all():
        return starts, ends
    run = np.repeat(np.arange(len(starts)), pieces)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    column = first[run] + nth
    return np.maximum(starts[run], column * height), np.minimum(ends[run], (column + 1) * height)


def merge_rles(rles: Sequence[Rle]) -> Rle:
    """Everything that belongs to any of the masks (all of one size)."""
    packed = coco.merge([coco.frPyObjects({"size": list(r.size_hw), "counts": r.counts}, *r.size_hw) for r in rles])
    return Rle(rles[0].size_hw, unpack_counts(packed["counts"]))


def stability_score(logits: Tensor, threshold: float = 0.0, offset: float = 1.0) -> Tensor:
    """How little a mask changes when its threshold moves by `offset` both ways: area above / area below.

    logits: (..., H, W) -> (...); an empty mask, 0/0 in official, scores 0.
    """
    inner = torch.count_nonzero(logits > threshold + offset, dim=(-2, -1))
    outer = torch.count_nonzero(logits > threshold - offset, dim=(-2, -1))
    return torch.where(outer > 0, inner / outer, 0.0)


def mask_boxes(masks: Tensor) -> Tensor:
    """masks: (..., H, W) bool -> (..., 4) int64 as (x0, y0, x1, y1), both inclusive; zeros for an empty mask."""
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
    """(x0, y0, x1, y1) -> [x, y, width, height] as official counts them: last minus first, without the + 1"""
    x0, y0, x1, y1 = box_xyxy
    return [x0, y0, x1 - x0, y1 - y0]


def fill_small_holes(mask: np.ndarray, min_area: int, beyond: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
    """Background regions of fewer than `min_area` pixels become mask: (H, W) bool -> mask, whether it changed

    beyond: (H, W) bool, where the picture goes on past the given window; regions with such a pixel stay as they are.
    """
    count, labels, sizes = _regions(~mask)
    is_small = sizes < min_area
    is_small[0] = False  # label 0 is the mask itself
    if beyond is not None:
        is_small[labels[beyond]] = False
    if count == 1 or not is_small.any():
        return mask, False
    return mask | is_small[labels], True


def drop_small_islands(mask: np.ndarray, min_area: int) -> tuple[np.ndarray, bool]:
    """Parts of fewer than `min_area` pixels go; where all are that small, the largest stays.

    mask: (H, W) bool -> mask, whether it changed
    """
    count, labels, sizes = _regions(mask)
    is_large = sizes >= min_area
    is_large[0] = False  # label 0 is the background
    if is_large.sum() == count - 1:
        return mask, False
    if not is_large.any():
        is_large[1 + int(np.argmax(sizes[1:]))] = True
    return is_large[labels], True


def _regions(mask: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Connected parts: how many labels, the (H, W) label of each pixel (0 outside), the pixels of each label"""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), DIAGONAL_NEIGHBOURS_TOUCH)
    return count, labels, stats[:, cv2.CC_STAT_AREA]


def clean_rle(rle: Rle, min_area: int) -> tuple[Rle, bool]:
    """Fill small holes, then drop small islands; only the mask's own box and a border are looked at -> Rle, changed"""
    if rle.area == 0:
        return rle, False
    (height, width), (left, top, right, bottom) = rle.size_hw, rle.box
    # a strip of background beside the box that is small itself is looked at whole, of a large one a border is enough
    x0 = 0 if left * height < min_area else left - 1
    y0 = 0 if top * width < min_area else top - 1
    x1 = width if (width - 1 - right) * height < min_area else right + 2
    y1 = height if (height - 1 - bottom) * width < min_area else bottom + 2
    mask = rle.window(x0, y0, x1, y1)
    beyond = np.zeros_like(mask)
    beyond[0] |= y0 > 0
    beyond[-1] |= y1 < height
    beyond[:, 0] |= x0 > 0
    beyond[:, -1] |= x1 < width
    filled, had_holes = fill_small_holes(mask, min_area, beyond & ~mask)
    kept, had_islands = drop_small_islands(filled, min_area)
    if not (had_holes or had_islands):
        return rle, False
    return place_rle(rle_from_mask(kept), (x0, y0), rle.size_hw), True
