"""Simulated users: a click, box or mask first, then clicks where the answer is most wrong (SAM 2, section 4, training).

Everything happens on the low-resolution grid of the masks (a quarter of the model's input side); points are given in
pixels of the model's input, as `Prompts` wants them.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2nb.structures import Prompts

MASK_STRIDE = 4  # input pixels per mask pixel
BOX_NOISE, MAX_BOX_NOISE = 0.1, 20.0  # standard deviation as part of the side; in pixels of the input
INCLUDE, EXCLUDE, CORNER1, CORNER2 = 1, 0, 2, 3


def click_in(rng: np.random.Generator, region: NDArray[np.bool_], deepest: bool) -> tuple[float, float]:
    """A point of a non-empty region (h, w) as (x, y) in input pixels: its deepest one, or any."""
    if deepest:
        depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), region.shape)
    else:
        rows, columns = np.nonzero(region)
        pick = int(rng.integers(len(rows)))
        row, column = rows[pick], columns[pick]
    return (column + 0.5) * MASK_STRIDE, (row + 0.5) * MASK_STRIDE


def first_clicks(rng: np.random.Generator, truth: NDArray[np.bool_]) -> Prompts:
    """One click inside every object, half of the time the deepest point: truth (B, h, w) -> points (B, 1, 2)"""
    points = [click_in(rng, mask, deepest=rng.random() < 0.5) if mask.any() else (0.0, 0.0) for mask in truth]
    labels = [INCLUDE if mask.any() else EXCLUDE for mask in truth]
    return Prompts(torch.tensor(points, dtype=torch.float32)[:, None], torch.tensor(labels, dtype=torch.int32)[:, None])


def boxes_around(rng: np.random.Generator, truth: NDArray[np.bool_], noise: float = BOX_NOISE) -> Prompts:
    """A slightly wrong box around every object: truth (B, h, w) -> points (B, 2, 2) with the labels of corners"""
    boxes = np.zeros((len(truth), 4), np.float32)
    for box, mask in zip(boxes, truth, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            continue
        tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32) * MASK_STRIDE
        sides = np.tile(tight[2:] - tight[:2], 2)
        box[:] = tight + np.clip(rng.normal(0, 1, 4) * noise * sides, -MAX_BOX_NOISE, MAX_BOX_NOISE)
    limit = truth.shape[-1] * MASK_STRIDE
    corners = torch.from_numpy(boxes.clip(0, limit)).unflatten(1, (2, 2))
    return Prompts(corners, torch.tensor([[CORNER1, CORNER2]], dtype=torch.int32).expand(len(truth), 2))


def correct(rng: np.random.Generator, prompts: Prompts, logits: Tensor, truth: NDArray[np.bool_]) -> Prompts:
    """Add to every object one click where the answer is wrong, and the answer itself as a mask prompt.

    logits: (B, 1, h, w) of the last answer. An object without any error gets one more click inside.
    """
    wrong = (logits[:, 0].detach().float() > 0).cpu().numpy() != truth
    points, labels = [], []
    for error, mask in zip(wrong, truth, strict=True):
        region = largest_part(error & mask, error & ~mask) if error.any() else mask
        if not region.any():  # nothing wanted, nothing drawn
            points.append((0.0, 0.0))
            labels.append(EXCLUDE)
            continue
        x, y = click_in(rng, region, deepest=rng.random() < 0.7)
        points.append((x, y))
        labels.append(INCLUDE if mask[int(y // MASK_STRIDE), int(x // MASK_STRIDE)] else EXCLUDE)
    more = torch.tensor(points, dtype=torch.float32, device=logits.device)[:, None]
    kinds = torch.tensor(labels, dtype=torch.int32, device=logits.device)[:, None]
    return Prompts(
        torch.cat((prompts.points.to(more), more), 1),
        torch.cat((prompts.labels.to(kinds), kinds), 1),
        logits.detach().clamp(-32, 32),
    )


def largest_part(missed: NDArray[np.bool_], surplus: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of what was missed or of what is too much."""
    best, best_area = missed, -1
    for errors in (missed, surplus):
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(errors.astype(np.uint8), connectivity=8)
        if count > 1:
            piece = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
            if stats[piece, cv2.CC_STAT_AREA] > best_area:
                best, best_area = pieces == piece, int(stats[piece, cv2.CC_STAT_AREA])
    return best
