"""Checkers of notebook 02_point_and_box_prompts."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.evaluation.metrics import mask_iou
from sam2nb.notebook.check import as_number, attempt, exercise
from sam2nb.notebook.exercises.pictures import show_answer
from sam2nb.notebook.samples import photo

REQUIRED_IOU = 0.85
PROMPTS = ("box", "point_coords", "point_labels")
PARTS = {  # x1, y1, x2, y2 of a patch that lies on each
    "coffee": (230, 115, 310, 160),
    "handle": (205, 250, 235, 290),
    "white rim": (285, 25, 315, 33),
    "red outside": (235, 230, 325, 250),
    "spoon": (345, 245, 390, 305),
    "saucer": (90, 200, 160, 280),
}


@exercise("02.two_prompts")
def two_prompts(answer: Any, predictor: Any, truth: np.ndarray) -> str | None:
    """At most two clicks, or a box and a click, that segment the cup."""
    if not isinstance(answer, dict):
        return f"answer with a dict of arguments for predict, not {type(answer).__name__}"
    unknown = sorted(set(answer) - {*PROMPTS, "multimask_output"})
    if unknown:
        return f"{unknown[0]!r} cannot be used here; the keys are {', '.join(PROMPTS)}"
    points, labels = (np.asarray(answer.get(key, []), float) for key in ("point_coords", "point_labels"))
    if points.size and points.shape != (len(points), 2):
        return f"point_coords is a list of clicks such as [[300, 150]], not an array of shape {points.shape}"
    if labels.shape != (len(points),):
        return f"point_labels needs one label for each click; yours has {labels.size} for {len(points)}"
    count = len(points) + (answer.get("box") is not None)
    if not 1 <= count <= 2:
        return f"use one or two prompts (clicks, or a box and a click); yours has {count}"
    masks, _, _ = predictor.predict(**{**answer, "multimask_output": False})
    overlap = mask_iou(masks[0], truth)
    if overlap >= REQUIRED_IOU:
        return None
    prompts = {"points": answer.get("point_coords"), "labels": answer.get("point_labels"), "boxes": answer.get("box")}
    show_answer(photo("coffee"), {"your mask": masks[0], "the cup": truth}, **prompts)
    return f"the true IoU is {overlap:.2f}; it must be at least {REQUIRED_IOU}{_what_differs(masks[0], truth)}"


def _what_differs(mask: np.ndarray, truth: np.ndarray) -> str:
    """The parts that a mask leaves out or takes in: "; your mask leaves out the coffee", or an empty text."""
    inside = {name: (mask[y1:y2, x1:x2].mean(), truth[y1:y2, x1:x2].mean()) for name, (x1, y1, x2, y2) in PARTS.items()}
    missing = [f"the {name}" for name, (found, wanted) in inside.items() if wanted > 0.5 > found]
    extra = [f"the {name}" for name, (found, wanted) in inside.items() if found > 0.5 > wanted]
    told = [f"leaves out {' and '.join(missing)}"] * bool(missing) + [f"takes in {' and '.join(extra)}"] * bool(extra)
    return f"; your mask {', and '.join(told)}" if told else ""


@exercise("02.iou")
def iou(answer: Any) -> str | None:
    """Intersection over union."""
    first, second = np.zeros((2, 8, 8), bool)
    first[1:5, 1:5], second[3:7, 3:7] = True, True
    cases = [(first, second, 4 / 28), (first, first, 1.0), (first, ~first, 0.0), (first, np.ones((8, 8), bool), 0.25)]
    for a, b, expected in cases:
        value = as_number(attempt(answer, a, b))
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
