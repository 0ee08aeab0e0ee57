"""Checkers of notebook 02_point_and_box_prompts."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.evaluation.metrics import mask_iou
from sam2nb.notebook.check import attempt, exercise

REQUIRED_IOU = 0.85


@exercise("02.two_prompts")
def two_prompts(answer: Any, predictor: Any, truth: np.ndarray) -> str | None:
    """At most two clicks, or a box and a click, that segment the cup."""
    if not isinstance(answer, dict):
        return f"answer with a dict of arguments for predict, not {type(answer).__name__}"
    clicks = len(np.asarray(answer.get("point_coords", [])).reshape(-1, 2))
    count = clicks + (answer.get("box") is not None)
    if count == 0 or count > 2 or answer.get("mask_input") is not None:
        return f"use one or two prompts (clicks, or a box and a click) and no mask_input; yours has {count}"
    masks, _, _ = predictor.predict(**{**answer, "multimask_output": False})
    overlap = mask_iou(masks[0], truth)
    return None if overlap >= REQUIRED_IOU else f"the true IoU is {overlap:.2f}; it must be at least {REQUIRED_IOU}"


@exercise("02.iou")
def iou(answer: Any) -> str | None:
    """Intersection over union."""
    first, second = np.zeros((2, 8, 8), bool)
    first[1:5, 1:5], second[3:7, 3:7] = True, True
    cases = [(first, second, 4 / 28), (first, first, 1.0), (first, ~first, 0.0), (first, np.ones((8, 8), bool), 0.25)]
    for a, b, expected in cases:
        value = float(attempt(answer, a, b))
        if abs(value - expected) > 1e-6:
            shared, either = (a & b).sum(), (a | b).sum()
            return (
                f"with {shared} pixels in both and {either} in either mask, {expected:.3f} is right; yours: {value:.3f}"
            )
    return None


@exercise("02.tight_box")
def tight_box(answer: Any) -> str | None:
    """The box around a mask; the right and lower edge may include the last pixel or not."""
    for x1, y1, x2, y2 in ((3, 1, 9, 4), (0, 0, 5, 5), (7, 2, 8, 9)):
        mask = np.zeros((10, 12), bool)
        mask[y1 : y2 + 1, x1 : x2 + 1] = True
        mask[y1, x1] = x2 - x1 < 2  # corners need not be set
        box = np.asarray(attempt(answer, mask), dtype=float)
        if box.shape != (4,):
            return f"give four numbers x1, y1, x2, y2, not an array of shape {box.shape}"
        if box.tolist() not in ([x1, y1, x2, y2], [x1, y1, x2 + 1, y2 + 1]):
            return f"for columns {x1} to {x2} and rows {y1} to {y2} yours returns {box.round(1).tolist()}"
    return None
