"""Upsample the decoder's masks to the size of the image, a strip of columns at a time.

The decoder predicts masks at a quarter of the model's input side, usually 256 x 256. The image may have 3000 x 1951 or
10,000 x 10,000 pixels, and a batch may hold two hundred masks. The official package upsamples all of them before it
filters: 4.2 GiB for one copy. But no filter needs more than a few columns of a mask: areas are sums over columns, and
run lengths are written column by column. So each strip is upsampled, counted, encoded and dropped, and memory depends
on the strip alone.

Where a mask is empty it is not upsampled at all: an interpolated logit lies between its neighbours, so where the small
logits are below the lowest threshold, the large ones are too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sam2nb.masks.measure import mask_boxes, stability_of_areas
from sam2nb.masks.rle import Rle, rle_from_runs
from sam2nb.predict.everything.crops import Box
from sam2nb.predict.everything.strips import strip_operations

MARGIN = 1e-3  # in logits; far above what rounding can add to an interpolated logit


@dataclass(frozen=True)
class UpsampledMasks:
    """N masks at the size of the image.

    stability: (N,) float32, see `stability_score`.
    boxes: (N, 4) int64 as (x0, y0, x1, y1), both corners inclusive.
    rles: N masks.
    """

    stability: Tensor
    boxes: Tensor
    rles: tuple[Rle, ...]


@dataclass(frozen=True)
class Axis:
    """Linear interpolation along one side: output i lies between two inputs, `weight[i]` of the way to `after[i]`."""

    before: Tensor
    after: Tensor
    weight: Tensor

    def outputs_that_read(self, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Start and stop (one past) of the outputs that depend on inputs first to last: (N,), (N,) -> (N,), (N,)"""
        return torch.searchsorted(self.after, first), torch.searchsorted(self.before, last, right=True)


class Runs(NamedTuple):
    """Runs of several masks, none longer than a column, sorted.

    mask: index of the mask. starts, ends (one past): offsets into the image's columns laid end to end.
    """

    mask: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def interpolation_axis(size_in: int, size_out: int, device: torch.device | str = "cpu") -> Axis:
    """The inputs and weights of torch's bilinear interpolation (align_corners=False), with its float32 rounding."""
    steps = torch.arange(size_out, dtype=torch.float32, device=device)
    source = (torch.tensor(size_in / size_out, dtype=torch.float32, device=device) * (steps + 0.5) - 0.5).clamp(min=0)
    before = source.long().clamp(max=size_in - 1)
    return Axis(before, (before + 1).clamp(max=size_in - 1), source - before)


def upsample_masks(
    logits: Tensor, size_hw: tuple[int, int], *, threshold: float, offset: float, pixels_at_once: int
) -> UpsampledMasks:
    """Upsample, score and encode N masks, holding at most `pixels_at_once` upsampled pixels (or one column).

    logits: (N, h, w) on any device. size_hw: of the image. threshold: pixels with a logit above it belong to the mask.
    offset: shift of the threshold, both ways, for the stability. `pixels_at_once` does not change the result.
    """
    logits = logits.float()
    height, width = size_hw
    operations = strip_operations(logits.device)
    axis_x = interpolation_axis(logits.shape[2], width, logits.device)
    windows = _windows(logits > threshold - abs(offset) - MARGIN, axis_x, height)
    columns_first = logits.transpose(1, 2).contiguous()
    masks_at_once = max(1, pixels_at_once // (height * width))
    areas, rles = [], []
    for first in range(0, len(logits), masks_at_once):
        group = slice(first, first + masks_at_once)
        masks, (x0, y0, x1, y1) = columns_first[group], _union(windows[group])
        inner, outer = torch.zeros(2, len(masks), dtype=torch.int64, device=logits.device)
        runs = []
        for columns in _strips(x0, x1, max(1, pixels_at_once // (len(masks) * height))):
            narrow = _interpolate_columns(masks, axis_x, columns)
            strip = operations.interpolate_rows(narrow, height)[..., y0:y1]
            inner += operations.areas(strip, threshold + offset)
            outer += operations.areas(strip, threshold - offset)
            runs.append(_runs(operations.edges(strip, threshold), strip.shape, (columns.start, y0), height))
        areas.append(torch.stack((inner, outer)))
        rles += [_encode(runs, index, size_hw) for index in range(len(masks))]
    inner, outer = torch.cat(areas, dim=1).cpu() if areas else torch.zeros(2, 0, dtype=torch.int64)
    boxes = torch.tensor([rle.box for rle in rles], dtype=torch.int64).reshape(-1, 4)
    return UpsampledMasks(stability_of_areas(inner, outer), boxes, tuple(rles))


def _windows(visible: Tensor, axis_x: Axis, height: int) -> list[Box]:
    """Part of the image outside which a mask is surely empty, one past the end: (N, h, w) -> N boxes"""
    axis_y = interpolation_axis(visible.shape[1], height, visible.device)
    x_first, y_first, x_last, y_last = mask_boxes(visible).t().contiguous()
    x0, x1 = axis_x.outputs_that_read(x_first, x_last)
    y0, y1 = axis_y.outputs_that_read(y_first, y_last)
    return [tuple(box) for box in torch.stack((x0, y0, x1, y1), dim=1).tolist()]


def _union(boxes: Sequence[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _strips(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(first, min(first + step, stop)) for first in range(start, stop, step))


def _interpolate_columns(masks: Tensor, axis_x: Axis, columns: slice) -> Tensor:
    """Upsample some columns, stored columns first: (N, w, h) -> (N, columns, h)

    Written out, because torch would round differently in strips of different widths.
    """
    weight = axis_x.weight[columns, None]
    return masks[:, axis_x.before[columns]] * (1 - weight) + masks[:, axis_x.after[columns]] * weight


def _runs(edges: np.ndarray, shape: tuple[int, ...], corner_xy: tuple[int, int], height: int) -> Runs:
    """From offsets into a strip, see `StripOperations.edges`, to offsets into the image.

    shape: of the strip, (N, columns, rows). corner_xy: position of its upper left pixel in the image.
    """
    _, columns, rows = shape
    starts, ends = edges[0::2], edges[1::2]
    column = starts // (rows + 1)  # counted over all masks
    x0, y0 = corner_xy
    shift = (x0 + column % columns) * height + y0 - column * (rows + 1)
    return Runs(column // columns, starts + shift, ends + shift)


def _encode(strips: list[Runs], index: int, size_hw: tuple[int, int]) -> Rle:
    """One mask from the runs of all strips."""
    starts, ends = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for runs in strips:
        own = slice(*np.searchsorted(runs.mask, (index, index + 1)))
        starts.append(runs.starts[own])
        ends.append(runs.ends[own])
    return rle_from_runs(np.concatenate(starts), np.concatenate(ends), size_hw)
