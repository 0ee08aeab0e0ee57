"""Masks as run lengths (RLE) in COCO's layout.

A boolean mask of a 3000 x 2000 image takes six megabytes, its run lengths some ten kilobytes. Everything mode (SAM,
arXiv 2304.02643, appendix B) therefore keeps masks as `Rle` and decodes only the pixels that are needed. The layout is
that of pycocotools (https://github.com/cocodataset/cocoapi): column by column, beginning with a run of background,
which has length 0 if the first pixel belongs to the mask.

Differs from the official package: areas and boxes come from the runs, so that no function here needs the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

EMPTY_BOX = (0, 0, 0, 0)


@dataclass(frozen=True)
class Rle:
    """One mask as run lengths.

    size_hw: height and width of the image.
    counts: uint32 lengths of background, mask, background, …, column by column.
    """

    size_hw: tuple[int, int]
    counts: np.ndarray

    @property
    def area(self) -> int:
        """Number of pixels in the mask."""
        return int(self.counts[1::2].sum(dtype=np.int64))

    @property
    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends (one past) of the mask's runs, as offsets into the columns laid end to end."""
        edges = np.cumsum(self.counts, dtype=np.int64)
        ends = edges[1::2]
        return edges[0::2][: len(ends)], ends

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First and last column and row as (x0, y0, x1, y1), both inclusive; zeros for an empty mask."""
        starts, ends = self.runs
        if len(starts) == 0:
            return EMPTY_BOX
        height = self.size_hw[0]
        (first_column, first_row), (last_column, last_row) = divmod(starts, height), divmod(ends - 1, height)
        # a run that continues in the next column touches both the bottom and the top of the image
        wraps = bool((first_column != last_column).any())
        top = 0 if wraps else int(first_row.min())
        bottom = height - 1 if wraps else int(last_row.max())
        return int(first_column[0]), top, int(last_column[-1]), bottom

    def to_dict(self) -> dict[str, Any]:
        """The official uncompressed form: {"size": [h, w], "counts": [ints]}"""
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
    """Encode runs, given as sorted offsets into the columns laid end to end; runs that touch or overlap are joined."""
    if len(starts) == 0:
        return Rle(size_hw, np.array([size_hw[0] * size_hw[1]], dtype=np.uint32))
    apart = starts[1:] > ends[:-1]
    starts = starts[np.concatenate(([True], apart))]
    ends = ends[np.concatenate((apart, [True]))]
    edges = np.stack((starts, ends), axis=1).reshape(-1)
    counts = np.diff(edges, prepend=0)
    left = size_hw[0] * size_hw[1] - int(ends[-1])
    return Rle(size_hw, (np.append(counts, left) if left else counts).astype(np.uint32))


def rle_from_mask(mask: np.ndarray) -> Rle:
    """Encode a mask: (H, W), every value but zero belongs to it."""
    flat = np.zeros(mask.size + 2, dtype=bool)
    flat[1:-1] = np.asarray(mask, dtype=bool).T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return rle_from_runs(edges[0::2], edges[1::2], (mask.shape[0], mask.shape[1]))


def as_rle(segmentation: Any) -> Rle:
    """Encode or unpack a record's "segmentation": an (H, W) array, run lengths plain or as COCO's text, or an `Rle`.

    Raises TypeError for anything else, ValueError for run lengths that do not add up.
    """
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
    counts = _unpack_counts(counts) if isinstance(counts, (str, bytes)) else np.array(counts, np.uint32)
    if int(counts.sum(dtype=np.int64)) != height * width:
        raise ValueError(f"segmentation is damaged: its run lengths do not add up to {height} x {width} pixels")
    return Rle((height, width), counts)


def _unpack_counts(text: str | bytes) -> np.ndarray:
    """COCO's text -> run lengths, uint32. (pycocotools only unpacks to pixels: 100 MB for a 10,000 x 10,000 image.)

    One character holds six bits: five of the number, lowest first, and bit 0x20 where the number continues. Numbers
    are signed; from the fourth on they are differences to the number before the last.
    """
    codes = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, dtype=np.uint8).astype(np.int64) - 48
    if len(codes) == 0:
        return np.zeros(0, dtype=np.uint32)
    continues = (codes & 0x20) != 0
    first = np.flatnonzero(np.append(True, ~continues[:-1]))  # the first character of each number
    length = np.diff(first, append=len(codes))
    nth = np.arange(len(codes)) - np.repeat(first, length)
    numbers = np.add.reduceat((codes & 0x1F) << (5 * nth), first)
    is_negative = numbers >> (5 * length - 1) == 1  # the highest bit of a two's complement
    numbers -= is_negative.astype(np.int64) << (5 * length)
    # numbers 1, 3, 5, … and 2, 4, 6, … are two running sums; number 0 is on its own
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers.astype(np.uint32)


def uncrop_rle(rle: Rle, corner_xy: tuple[int, int], size_hw: tuple[int, int]) -> Rle:
    """The mask of a crop as a mask of the image, with background around it.

    corner_xy: position of the crop's upper left pixel in the image of `size_hw`.
    """
    (height, _), (x0, y0) = rle.size_hw, corner_xy
    if rle.size_hw == size_hw:
        return rle
    starts, ends = _split_at_columns(*rle.runs, height)
    columns = starts // height
    shift = (columns + x0) * size_hw[0] + y0 - columns * height
    return rle_from_runs(starts + shift, ends + shift, size_hw)


def _split_at_columns(starts: np.ndarray, ends: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut every run that spans several columns into one run per column."""
    first, last = starts // height, (ends - 1) // height
    pieces = last - first + 1
    if (pieces == 1).all():
        return starts, ends
    run = np.repeat(np.arange(len(starts)), pieces)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    column = first[run] + nth
    return np.maximum(starts[run], column * height), np.minimum(ends[run], (column + 1) * height)


def merge_rles(rles: Sequence[Rle]) -> Rle:
    """The union of masks of one size."""
    starts, ends = (np.concatenate(edges) for edges in zip(*(rle.runs for rle in rles), strict=True))
    order = np.argsort(starts)
    return rle_from_runs(starts[order], np.maximum.accumulate(ends[order]), rles[0].size_hw)
