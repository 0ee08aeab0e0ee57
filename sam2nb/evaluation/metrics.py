"""How good is a mask: region, contour, clicks and stability, on plain arrays.

- `mask_iou`, `boundary_f`, `j_and_f`: region similarity J, contour accuracy F and their mean as DAVIS defines them
  (Perazzi et al., CVPR 2016, section 5; https://davischallenge.org).
- `next_click`: where a simulated user corrects a mask (SAM, arXiv 2304.02643, section 7.1; SAM 2, arXiv 2408.00714).
- `stability_score`: how little a mask changes when its threshold moves (SAM, section 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

BOUNDARY_TOLERANCE = 0.008  # of the picture's diagonal, as in DAVIS


class JAndF(NamedTuple):
    """Means over frames, each 0..1: region similarity, contour accuracy, their mean."""

    j: float
    f: float
    j_and_f: float


class Click(NamedTuple):
    """A simulated click: pixel (x, y) and label, 1 to add what is missing, 0 to take away what is too much."""

    x: int
    y: int
    label: int


def mask_iou(prediction: NDArray, truth: NDArray) -> float:
    """Intersection over union of two boolean masks; two empty masks agree, so they score 1.

    prediction, truth: (H, W) -> 0..1
    """
    prediction, truth = _same_shape(prediction, truth)
    union = np.count_nonzero(prediction | truth)
    return float(np.count_nonzero(prediction & truth) / union) if union else 1.0


def boundary_f(prediction: NDArray, truth: NDArray, tolerance: float = BOUNDARY_TOLERANCE) -> float:
    """Contour accuracy F: harmonic mean of precision and recall of the two outlines.

    An outline pixel counts as matched when the other outline passes within `tolerance`: below 1 a share of the
    picture's diagonal (rounded up to pixels), from 1 on pixels. Two masks without outline agree and score 1.

    prediction, truth: (H, W) -> 0..1
    """
    prediction, truth = _same_shape(prediction, truth)
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(*truth.shape))
    ours, theirs = outline(prediction), outline(truth)
    count_ours, count_theirs = np.count_nonzero(ours), np.count_nonzero(theirs)
    if not count_ours or not count_theirs:
        return float(count_ours == count_theirs)
    precision = np.count_nonzero(ours & _grow(theirs, radius)) / count_ours
    recall = np.count_nonzero(theirs & _grow(ours, radius)) / count_theirs
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def j_and_f(prediction: Sequence[NDArray], truth: Sequence[NDArray], tolerance: float = BOUNDARY_TOLERANCE) -> JAndF:
    """J, F and their mean over the frames of one object.

    prediction, truth: T masks of (H, W). Leave out what DAVIS leaves out (first and last frame) before calling, or see
    `evaluate_video`, which does.
    """
    if len(prediction) != len(truth):
        raise ValueError(
            f"prediction has {len(prediction)} frames and truth has {len(truth)}; they must be the same frames"
        )
    if not len(truth):
        raise ValueError("truth holds no frame; J&F needs at least one")
    j = float(np.mean([mask_iou(p, t) for p, t in zip(prediction, truth, strict=True)]))
    f = float(np.mean([boundary_f(p, t, tolerance) for p, t in zip(prediction, truth, strict=True)]))
    return JAndF(j, f, (j + f) / 2)


def stability_score(logits: NDArray, threshold: float = 0.0, offset: float = 1.0) -> float:
    """Area above threshold + offset over area above threshold - offset: 1 for a sharp mask, nan where nothing is above.

    logits: (H, W) -> 0..1
    """
    outer = np.count_nonzero(logits > threshold - offset)
    return float(np.count_nonzero(logits > threshold + offset) / outer) if outer else math.nan


def next_click(prediction: NDArray | None, truth: NDArray) -> Click | None:
    """The click with which a careful user corrects a mask; the first one when there is no mask yet.

    Missing and superfluous pixels are two maps; the click falls on the pixel deepest inside either of them (largest
    distance to where the mask is right, picture border included), with the label that repairs it. The first click is
    therefore the pixel deepest inside the object. None when nothing is wrong.

    prediction, truth: (H, W) boolean
    """
    truth = np.asarray(truth, dtype=bool)
    prediction = np.zeros_like(truth) if prediction is None else np.asarray(prediction, dtype=bool)
    prediction, truth = _same_shape(prediction, truth)
    missing, superfluous = _depth(truth & ~prediction), _depth(prediction & ~truth)
    if not missing.any() and not superfluous.any():
        return None
    label = int(missing.max() >= superfluous.max())
    depth = missing if label else superfluous
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Click(int(x), int(y), label)


def outline(mask: NDArray) -> NDArray[np.bool_]:
    """The one pixel wide border of a mask: pixels that differ from their right, lower or lower right neighbour.

    mask: (H, W) -> (H, W)
    """
    mask = np.asarray(mask, dtype=bool)
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])


def _grow(mask: NDArray, radius: float) -> NDArray[np.bool_]:
    """Every pixel within `radius` of the mask (a round brush)."""
    reach = int(radius)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    brush = (x * x + y * y <= radius * radius).astype(np.uint8)
    return cv2.dilate(mask.astype(np.uint8), brush, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)


def _depth(region: NDArray) -> NDArray[np.float32]:
    """Distance of every pixel of a region to the outside; the picture's border is outside."""
    padded = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]


def _same_shape(prediction: NDArray, truth: NDArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.ndim != 2 or prediction.shape != truth.shape:
        raise ValueError(
            f"prediction has shape {prediction.shape} and truth {truth.shape}; both must be (H, W) of the same picture"
        )
    return prediction.astype(bool), truth.astype(bool)
