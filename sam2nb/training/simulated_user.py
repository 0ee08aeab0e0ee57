"""The simulated user: a click or a box first, then clicks where the prediction is most wrong.

SAM 2 is trained in this way (arXiv 2408.00714, section 4 "training"). Masks are on the model's mask grid (a quarter of
the input side); points are in pixels of the model's input, as `Prompts` takes them.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2nb.structures import BOX_CORNER_LABELS, EXCLUDE_LABEL, INCLUDE_LABEL, MASK_LOGIT_CLAMP, MASK_STRIDE, Prompts

BOX_NOISE, MAX_BOX_NOISE = 0.1, 20.0  # standard deviation as a fraction of the side; limit in input pixels


def click_in(rng: np.random.Generator, region: NDArray[np.bool_], deepest: bool) -> tuple[float, float]:
    """A point of a non-empty region (h, w) as (x, y) in input pixels: the one farthest from its border, or any."""
    if deepest:
        depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), region.shape)
    else:
        rows, columns = np.nonzero(region)
        pick = int(rng.integers(len(rows)))
        row, column = rows[pick], columns[pick]
    return (column + 0.5) * MASK_STRIDE, (row + 0.5) * MASK_STRIDE


def first_clicks(rng: np.random.Generator, truth: NDArray[np.bool_]) -> Prompts:
    """One click inside every object, half of the time at its deepest point: truth (B, h, w) -> points (B, 1, 2)

    An absent object gets an exclude click in the corner.
    """
    points = [click_in(rng, mask, deepest=rng.random() < 0.5) if mask.any() else (0.0, 0.0) for mask in truth]
    labels = [INCLUDE_LABEL if mask.any() else EXCLUDE_LABEL for mask in truth]
    return Prompts(torch.tensor(points, dtype=torch.float32)[:, None], torch.tensor(labels, dtype=torch.int32)[:, None])


def boxes_around(rng: np.random.Generator, truth: NDArray[np.bool_], noise: float = BOX_NOISE) -> Prompts:
    """A slightly inaccurate box around every object: truth (B, h, w) -> points (B, 2, 2) with the corners' labels"""
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
    return Prompts(corners, torch.tensor([BOX_CORNER_LABELS], dtype=torch.int32).expand(len(truth), 2))


def correct(rng: np.random.Generator, prompts: Prompts, logits: Tensor, truth: NDArray[np.bool_]) -> Prompts:
    """Add one click per object where the prediction is wrong, and the prediction itself as a mask prompt.

    logits: (B, 1, h, w) of the last prediction; truth: (B, h, w). An object without any error gets a click inside.
    """
    wrong = (logits[:, 0].detach().float() > 0).cpu().numpy() != truth
    points, labels = [], []
    for error, mask in zip(wrong, truth, strict=True):
        region = largest_component(error & mask, error & ~mask) if error.any() else mask
        if not region.any():  # the object is absent and the predicted mask is empty
            points.append((0.0, 0.0))
            labels.append(EXCLUDE_LABEL)
            continue
        x, y = click_in(rng, region, deepest=rng.random() < 0.7)
        points.append((x, y))
        inside = mask[int(y // MASK_STRIDE), int(x // MASK_STRIDE)]
        labels.append(INCLUDE_LABEL if inside else EXCLUDE_LABEL)
    new_points = torch.tensor(points, dtype=torch.float32, device=logits.device)[:, None]
    new_labels = torch.tensor(labels, dtype=torch.int32, device=logits.device)[:, None]
    return Prompts(
        torch.cat((prompts.points.to(new_points), new_points), 1),
        torch.cat((prompts.labels.to(new_labels), new_labels), 1),
        logits.detach().clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP),
    )


def largest_component(missed: NDArray[np.bool_], surplus: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected component of the missed pixels or of the surplus ones: (h, w) x2 -> (h, w)"""
    best, best_area = missed, -1
    for errors in (missed, surplus):
        count, components, stats, _ = cv2.connectedComponentsWithStats(errors.astype(np.uint8), connectivity=8)
        if count > 1:
            largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())  # 0 is the background
            if stats[largest, cv2.CC_STAT_AREA] > best_area:
                best, best_area = components == largest, int(stats[largest, cv2.CC_STAT_AREA])
    return best
