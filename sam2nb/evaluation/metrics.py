"""Mask metrics and the simulated click, on plain arrays.

- `mask_iou`, `boundary_f`, `j_and_f`: region similarity J, contour accuracy F and their mean as DAVIS defines them
  (Perazzi et al., CVPR 2016, section 5; https://davischallenge.org).
- `next_click`: where a simulated user corrects a mask (SAM, arXiv 2304.02643, section 7.1; SAM 2, arXiv 2408.00714).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

BOUNDARY_TOLERANCE = 0.008  # of the image diagonal, as in DAVIS


class JAndF(NamedTuple):
    """Means over frames, each in 0..1: region similarity, contour accuracy, and the mean of the two."""

    j: float
    f: float
    j_and_f: float


class Click(NamedTuple):
    """A simulated click: pixel (x, y) and label, 1 to add missing pixels, 0 to remove superfluous ones."""

    x: int
    y: int
    label: int


def mask_iou(prediction: NDArray, truth: NDArray) -> float:
    """Intersection over union of two masks; two empty masks agree and score 1.

    prediction, truth: (H, W) bool -> 0..1

    Raises ValueError for masks of different shapes.
    """
    prediction, truth = _same_shape(prediction, truth)
    union = np.count_nonzero(prediction | truth)
    return float(np.count_nonzero(prediction & truth) / union) if union else 1.0


def boundary_f(prediction: NDArray, truth: NDArray, tolerance: float = BOUNDARY_TOLERANCE) -> float:
    """Contour accuracy F: the harmonic mean of precision and recall of the predicted outline.

    An outline pixel counts as matched if the other outline passes within `tolerance`: values below 1 are a fraction of
    the image diagonal (rounded up to whole pixels), values from 1 on are pixels. Two masks without an outline agree and
    score 1.

    prediction, truth: (H, W) bool -> 0..1

    Raises ValueError for masks of different shapes.
    """
    prediction, truth = _same_shape(prediction, truth)
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(*truth.shape))
    predicted_outline, true_outline = outline(prediction), outline(truth)
    predicted_count, true_count = np.count_nonzero(predicted_outline), np.count_nonzero(true_outline)
    if not predicted_count or not true_count:
        return float(predicted_count == true_count)
    precision = np.count_nonzero(predicted_outline & _dilate(true_outline, radius)) / predicted_count
    recall = np.count_nonzero(true_outline & _dilate(predicted_outline, radius)) / true_count
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def j_and_f(prediction: Sequence[NDArray], truth: Sequence[NDArray]) -> JAndF:
    """J, F and their mean over the frames of one object.

    prediction, truth: T masks of (H, W) bool. DAVIS leaves out the first and the last frame; `evaluate_video` does so
    before it calls this.

    Raises ValueError for no frames, a different number of frames, or masks of different shapes.
    """
    if len(prediction) != len(truth):
        raise ValueError(
            f"prediction has {len(prediction)} frames and truth has {len(truth)}; they must be the same frames"
        )
    if not len(truth):
        raise ValueError("truth has no frames; J&F needs at least one")
    j = float(np.mean([mask_iou(p, t) for p, t in zip(prediction, truth, strict=True)]))
    f = float(np.mean([boundary_f(p, t) for p, t in zip(prediction, truth, strict=True)]))
    return JAndF(j, f, (j + f) / 2)


def next_click(prediction: NDArray | None, truth: NDArray) -> Click | None:
    """The click with which a careful user corrects a mask, or starts one if there is no prediction yet.

    Missing and superfluous pixels form two regions; the click falls on the pixel deepest inside either of them (the
    largest distance to the outside, where the image border counts as outside), with the label that repairs it. The
    first click is therefore the pixel deepest inside the object. None if the mask is already perfect.

    prediction, truth: (H, W) bool

    Raises ValueError for masks of different shapes.
    """
    if prediction is None:
        prediction = np.zeros(np.shape(truth), dtype=bool)
    prediction, truth = _same_shape(prediction, truth)
    missing, superfluous = _depth(truth & ~prediction), _depth(prediction & ~truth)
    if not missing.any() and not superfluous.any():
        return None
    label = int(missing.max() >= superfluous.max())
    depth = missing if label else superfluous
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Click(int(x), int(y), label)


def outline(mask: NDArray) -> NDArray[np.bool_]:
    """The one-pixel border of a mask: pixels that differ from their right, lower or lower-right neighbour.

    mask: (H, W) -> (H, W) bool
    """
    mask = np.asarray(mask, dtype=bool)
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])


def _dilate(mask: NDArray, radius: float) -> NDArray[np.bool_]:
    """Every pixel within `radius` of the mask (a disc as structuring element)."""
    reach = int(radius)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x * x + y * y <= radius * radius).astype(np.uint8)
    return cv2.dilate(mask.astype(np.uint8), disc, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)


def _depth(region: NDArray) -> NDArray[np.float32]:
    """Distance of every pixel of a region to the outside; the image border counts as outside."""
    padded = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]


def _same_shape(prediction: NDArray, truth: NDArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise ValueError(
            f"prediction has shape {prediction.shape} and truth {truth.shape}; both must be (H, W) of the same image"
        )
    return prediction.astype(bool), truth.astype(bool)
