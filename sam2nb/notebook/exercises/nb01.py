"""Checkers of notebook 01_setup."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.notebook.check import attempt, exercise

RIM_XY, SPOON_XY, SAUCER_XY, TABLE_XY = (330, 100), (385, 290), (148, 242), (560, 350)


@exercise("01.cup_click")
def cup_click(answer: Any, predictor: Any) -> str | None:
    """A click whose best mask contains the rim of the cup, but neither spoon nor saucer nor table."""
    point = np.asarray(answer, dtype=np.float32)
    if point.size != 2:
        return f"give one point (x, y), not an array of shape {point.shape}"
    point = point.reshape(2)
    masks, scores, _ = predictor.predict(point_coords=point[None], point_labels=[1])
    mask = masks[scores.argmax()]
    for name, (x, y) in (("spoon", SPOON_XY), ("saucer", SAUCER_XY), ("table", TABLE_XY)):
        if mask[y, x]:
            return f"the best mask still covers the {name}; click on the white rim"
    if not mask[RIM_XY[1], RIM_XY[0]]:
        return f"the best mask covers {mask.mean():.1%} of the picture, but not the rim of the cup"
    return None


@exercise("01.covered")
def covered(answer: Any) -> str | None:
    """The fraction of true pixels."""
    half = np.zeros((4, 6), bool)
    half[:2] = True
    for mask, expected in ((half, 0.5), (~half[:, :2], 0.5), (np.ones((3, 3), bool), 1.0), (np.zeros((2, 2), bool), 0)):
        fraction = float(attempt(answer, mask))
        if abs(fraction - expected) > 1e-6:
            return f"for a mask with {mask.sum()} of {mask.size} pixels set, {expected:g} is right; yours: {fraction:g}"
    return None
