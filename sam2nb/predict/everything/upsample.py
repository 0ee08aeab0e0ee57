"""From the decoder's small logits to masks of the picture, a strip of columns at a time.

The decoder answers on a quarter of its input's side, 256 x 256. The picture may be 3000 x 1951 or 10,000 x 10,000, and
there may be two hundred answers in a batch. Official enlarges all of them first and filters then: 4.2 GiB for one copy.
But nothing that follows needs more than a few columns of one mask: areas are sums over columns, run lengths are written
column after column. So a strip is enlarged, counted, encoded and forgotten, and memory depends on the strip alone.

Where a mask is empty it is not enlarged at all: bilinear values lie between their neighbours, so where the small logits
are below the lowest threshold, the large ones are too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.masks.measure import mask_boxes, stability_of_areas
from sam2nb.masks.rle import Rle, rle_from_runs

MARGIN = 1e-3  # far above what rounding can add to an interpolated logit

Strip = Union[np.ndarray, Tensor]  # noqa: UP007  (a runtime value on python 3.10)


@dataclass(frozen=True)
class LargeMasks:
    """N masks at the size of the picture.

    stability: (N,) float32, see `mask_ops.stability_score`.
    boxes: (N, 4) int64 as (x0, y0, x1, y1), both inclusive.
    rles: N run lengths.
    """

    stability: Tensor
    boxes: Tensor
    rles: tuple[Rle, ...]


@dataclass(frozen=True)
class Axis:
    """Bilinear interpolation along one side: output i lies between two inputs, `weight[i]` of the way to `after[i]`."""

    before: Tensor
    after: Tensor
    weight: Tensor


def interpolation_axis(size_in: int, size_out: int, device: torch.device | str = "cpu") -> Axis:
    """Where torch's bilinear interpolation (align_corners=False) looks, with its float32 rounding."""
    steps = torch.arange(size_out, dtype=torch.float32, device=device)
    source = (torch.tensor(size_in / size_out, dtype=torch.float32, device=device) * (steps + 0.5) - 0.5).clamp(min=0)
    before = source.long().clamp(max=size_in - 1)
    return Axis(before, (before + 1).clamp(max=size_in - 1), source - before)


def enlarge_masks(
    logits: Tensor, size_hw: tuple[int, int], *, threshold: float, offset: float, pixels_at_once: int
) -> LargeMasks:
    """Enlarge N masks, score and encode them, holding at most `pixels_at_once` enlarged pixels (or one column).

    logits: (N, h, w) on any device; size_hw: of the picture. A pixel belongs to the mask where its logit is above
    `threshold`; for the stability that threshold moves by `offset` both ways. `pixels_at_once` changes no number.
    """
    logits = logits.float()
    height, width = size_hw
    axis_x = interpolation_axis(logits.shape[2], width, logits.device)
    windows = _windows(logits > threshold - abs(offset) - MARGIN, axis_x, height)
    columns_first = logits.transpose(1, 2).contiguous()
    levels = (threshold + offset, threshold - offset)
    group = max(1, pixels_at_once // (height * width))
    areas, rles = [], []
    for first in range(0, len(logits), group):
        masks, (x0, y0, x1, y1) = columns_first[first : first + group], _hull(windows[first : first + group])
        areas.append(torch.zeros(2, len(masks), dtype=torch.int64, device=logits.device))
        runs = []
        for columns in _strips(x0, x1, max(1, pixels_at_once // (len(masks) * height))):
            strip = _enlarge_strip(masks, axis_x, columns, height)[..., y0:y1]
            areas[-1] += torch.stack([_areas(strip, level).to(logits.device) for level in levels])
            runs.append(_runs(strip, threshold, (columns.start, y0), height))
        rles += [_join(runs, index, size_hw) for index in range(len(masks))]
    inner, outer = torch.cat(areas, dim=1).cpu() if areas else torch.zeros(2, 0, dtype=torch.int64)
    boxes = torch.tensor([rle.box for rle in rles], dtype=torch.int64).reshape(-1, 4)
    return LargeMasks(stability_of_areas(inner, outer), boxes, tuple(rles))


def _windows(visible: Tensor, axis_x: Axis, height: int) -> list[list[int]]:
    """The part of the picture outside which a mask is surely empty, as x0, y0, x1, y1 (one past): (N, h, w) -> N x 4"""
    axis_y = interpolation_axis(visible.shape[1], height, visible.device)
    x_first, y_first, x_last, y_last = mask_boxes(visible).t().contiguous()
    starts = (torch.searchsorted(axis.after, low) for axis, low in ((axis_x, x_first), (axis_y, y_first)))
    stops = (torch.searchsorted(axis.before, high, right=True) for axis, high in ((axis_x, x_last), (axis_y, y_last)))
    return torch.stack((*starts, *stops), dim=1).tolist()


def _hull(windows: list[list[int]]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = zip(*windows, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _strips(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def _enlarge_strip(masks: Tensor, axis_x: Axis, columns: slice, height: int) -> Strip:
    """Some columns of the enlarged masks: (N, w, h), columns first -> (N, columns, height)

    Columns are blended by hand, with each rounding spelt out, so that the numbers are the same in every strip.
    """
    weight = axis_x.weight[columns, None]
    narrow = masks[:, axis_x.before[columns]] * (1 - weight) + masks[:, axis_x.after[columns]] * weight
    return _stretch(narrow, height)


def _stretch(narrow: Tensor, height: int) -> Strip:
    """(N, columns, h) -> (N, columns, height)"""
    if not narrow.is_cpu:
        return _stretch_on_gpu(narrow, height)
    count, columns, _ = narrow.shape
    flat = cv2.resize(narrow.flatten(0, 1).numpy(), (height, count * columns))  # nine times as fast as torch
    return flat.reshape(count, columns, height)


def _stretch_on_gpu(narrow: Tensor, height: int) -> Tensor:
    return F.interpolate(narrow, height, mode="linear", align_corners=False)


def _areas(strip: Strip, level: float) -> Tensor:
    """Pixels above a level: (N, columns, rows) -> (N,)"""
    if isinstance(strip, np.ndarray):
        return torch.tensor([np.count_nonzero(mask > level) for mask in strip])
    return torch.count_nonzero(strip > level, dim=(1, 2))


def _runs(strip: Strip, level: float, corner_xy: tuple[int, int], height: int) -> tuple[np.ndarray, ...]:
    """Runs of pixels above a level, none longer than a column.

    -> which of the N masks, start and end as offsets into the picture's columns laid end to end; sorted.
    """
    count, columns, rows = strip.shape
    # a background pixel before the first and after every column keeps the runs of neighbours apart
    if isinstance(strip, np.ndarray):
        bits = np.zeros(1 + count * columns * (rows + 1), dtype=bool)
        np.greater(strip, level, out=bits[1:].reshape(count, columns, rows + 1)[..., :rows])
        edges = np.flatnonzero(bits[1:] != bits[:-1])
    else:
        bits = torch.zeros(1 + count * columns * (rows + 1), dtype=torch.bool, device=strip.device)
        bits[1:].view(count, columns, rows + 1)[..., :rows] = strip > level
        edges = (bits[1:] != bits[:-1]).nonzero().flatten().cpu().numpy()
    starts, ends = edges[0::2], edges[1::2]
    column = starts // (rows + 1)
    x0, y0 = corner_xy
    shift = (x0 + column % columns) * height + y0 - column * (rows + 1)
    return column // columns, starts + shift, ends + shift


def _join(runs: list[tuple[np.ndarray, ...]], index: int, size_hw: tuple[int, int]) -> Rle:
    """The run lengths of one mask from the runs of all strips."""
    starts, ends = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for mask, start, end in runs:
        own = slice(*np.searchsorted(mask, (index, index + 1)))
        starts.append(start[own])
        ends.append(end[own])
    return rle_from_runs(np.concatenate(starts), np.concatenate(ends), size_hw)
