"""Checkers of notebook 06_hard_images."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.notebook.check import attempt, exercise


@exercise("06.stretch")
def stretch(answer: Any) -> str | None:
    """Map the 1st percentile to 0 and the 99th to 1, clip the rest."""
    ramp = np.arange(1000, 2001, dtype=np.uint16).reshape(7, 143)
    for name, image in (
        ("a ramp", ramp),
        ("a ramp with one hot pixel", np.where(ramp == 2000, 65535, ramp)),
        ("a ramp of fractions", ramp / 10000),
    ):
        given = image.copy()
        result = np.asarray(attempt(answer, given), dtype=float)
        if (given != image).any():
            return "the array that was handed in has changed; work on a copy"
        if result.shape != image.shape:
            return f"the shape changed from {image.shape} to {result.shape}"
        low, high = np.percentile(image, [1, 99])
        expected = np.clip((image - low) / (high - low), 0, 1)
        if not np.allclose(result, expected, atol=1e-6):
            row, column = np.unravel_index(np.abs(result - expected).argmax(), result.shape)
            pixel = f"for {name} from {image.min()} to {image.max()}, the pixel of value {image[row, column]}"
            return f"{pixel} should be {expected[row, column]:.3f}; yours is {result[row, column]:.3f}"
    return _flat(answer)


def _flat(answer: Any) -> str | None:
    spot = np.full((30, 40), 0.5)
    spot[3, 4] = 0.9
    for image in (np.full((3, 4), 7, np.uint16), spot):
        flat = np.asarray(attempt(answer, image.copy()), dtype=float)
        if flat.shape != image.shape:
            return f"for an image whose percentiles are equal the shape changed from {image.shape} to {flat.shape}"
        if not (flat == 0).all():
            return "an image whose 1st and 99th percentile are equal should become zero everywhere"
    return None


@exercise("06.crop_around")
def crop_around(answer: Any) -> str | None:
    """A box grown by a fraction of its size, clipped to the image, in whole pixels."""
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
            return f"give four numbers, not an array of shape {values.shape}"
        if values.tolist() != expected:
            return f"for box {box}, size_hw {size_hw}, margin {margin}: {expected} is right, yours is {list(result)}"
    fractions = attempt(answer, [10, 20, 17, 27], (100, 200), 0.5)
    if any(float(value) != int(value) for value in np.ravel(fractions)):
        return f"the numbers should be whole; for box [10, 20, 17, 27] and margin 0.5 yours are {list(fractions)}"
    return None
