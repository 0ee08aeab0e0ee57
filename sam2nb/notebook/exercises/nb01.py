"""Checkers of notebook 01_setup."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.notebook.check import WrongKind, as_number, attempt, exercise, kind_of
from sam2nb.notebook.exercises.pictures import show_answer
from sam2nb.notebook.samples import photo

RIM_XY, WALL_XY = (300, 30), (300, 70)
PARTS = {  # x1, y1, x2, y2 of a patch that lies on each
    "red outside of the cup": (235, 230, 325, 255),
    "spoon": (340, 240, 395, 310),
    "saucer": (90, 200, 160, 280),
    "table": (500, 20, 590, 390),
}
COVERED = 0.12  # of a patch: from here on the mask takes the part in


@exercise("01.cup_click")
def cup_click(answer: Any, predictor: Any) -> str | None:
    """A click whose best mask contains the white of the cup, but neither its outside nor spoon, saucer and table."""
    x, y = _point(answer)
    image = photo("coffee")
    height, width = image.shape[:2]
    if [tuple(size) for size in predictor.original_sizes] != [(height, width)]:
        return "the predictor holds another picture: run `predictor.set_image(image)` above again"
    if not (0 <= x < width and 0 <= y < height):
        return f"({x:g}, {y:g}) lies outside the picture, which is {width} wide and {height} high"
    mask = _best_mask(predictor, x, y)
    difference = _difference(mask)
    if difference is None:
        return None
    show_answer(image, {"your mask": mask}, points=[[x, y]])
    if y < width and x < height and _difference(_best_mask(predictor, y, x)) is None:
        return f"{difference}. Did you swap x and y? ({y:g}, {x:g}) would be right"
    return difference


def _point(answer: Any) -> tuple[float, float]:
    try:
        point = np.asarray(answer, dtype=np.float32)
    except (TypeError, ValueError):
        raise WrongKind(f"give two numbers (x, y), not {kind_of(answer)}") from None
    if point.size != 2:
        raise WrongKind(f"give one point (x, y), not {kind_of(point)}")
    x, y = point.reshape(2).tolist()
    return x, y


def _best_mask(predictor: Any, x: float, y: float) -> np.ndarray:
    masks, scores, _ = predictor.predict(point_coords=[[x, y]], point_labels=[1])
    return masks[scores.argmax()]


def _difference(mask: np.ndarray) -> str | None:
    for name, (x1, y1, x2, y2) in PARTS.items():
        if mask[y1:y2, x1:x2].mean() > COVERED:
            return f"the best mask takes in the {name}"
    if not all(mask[y, x] for x, y in (RIM_XY, WALL_XY)):
        return f"the best mask covers {mask.mean():.1%} of the picture, but not the white of the cup"
    return None


@exercise("01.covered")
def covered(answer: Any) -> str | None:
    """The fraction of true pixels."""
    half = np.zeros((4, 6), bool)
    half[:2] = True
    one = np.arange(7)[None] == 0
    for mask in (half, ~half[:, :2], one, np.ones((3, 3), bool), np.zeros((2, 2), bool)):
        fraction, expected = as_number(attempt(answer, mask)), mask.sum() / mask.size
        if abs(fraction - expected) > 1e-6:
            return f"for a mask with {mask.sum()} of {mask.size} pixels set, {expected:g} is right; yours: {fraction:g}"
    return None
