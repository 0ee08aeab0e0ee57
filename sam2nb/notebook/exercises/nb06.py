"""Checkers of notebook 06_hard_images."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.notebook import attempt, exercise


@exercise("06.stretch")
def stretch(answer: Any) -> str | None:
    """Percentiles 1 and 99 to 0 and 1, clipped."""
    ramp = np.arange(1000, 2001, dtype=np.uint16).reshape(7, 143)
    for name, picture in (("a ramp", ramp), ("a ramp with one hot pixel", np.where(ramp == 2000, 65535, ramp))):
        result = np.asarray(attempt(answer, picture), dtype=float)
        if result.shape != picture.shape:
            return f"the shape changed from {picture.shape} to {result.shape}"
        low, high = np.percentile(picture, [1, 99])
        expected = np.clip((picture - low) / (high - low), 0, 1)
        if not np.allclose(result, expected, atol=1e-6):
            row, column = np.unravel_index(np.abs(result - expected).argmax(), result.shape)
            return (
                f"for {name} from {picture.min()} to {picture.max()}, the pixel of value {picture[row, column]} should "
                f"be {expected[row, column]:.3f}; yours is {result[row, column]:.3f}"
            )
    flat = np.asarray(attempt(answer, np.full((3, 4), 7, np.uint16)), dtype=float)
    return None if (flat == 0).all() else "a picture with one single value should become zero everywhere"


@exercise("06.crop_around")
def crop_around(answer: Any) -> str | None:
    """A box grown by a share of its size, inside the picture, in whole pixels."""
    cases = (
        ([40, 30, 60, 50], (100, 200), 0.5, [30, 20, 70, 60]),
        ([0, 0, 20, 10], (100, 200), 1.0, [0, 0, 40, 20]),
        ([180, 80, 200, 100], (100, 200), 0.25, [175, 75, 200, 100]),
        ([10, 20, 30, 40], (100, 200), 0, [10, 20, 30, 40]),
    )
    for box, size_hw, margin, expected in cases:
        result = attempt(answer, box, size_hw, margin)
        values = np.asarray(result, dtype=float)
        if values.shape != (4,):
            return f"give four numbers, not something of shape {values.shape}"
        if values.tolist() != expected:
            return f"for box {box}, picture {size_hw}, margin {margin}: {expected} is right, yours is {list(result)}"
    return None
