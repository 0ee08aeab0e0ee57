"""Checkers of notebook 08_train_and_finetune."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.notebook.check import as_number, attempt, exercise


@exercise("08.dice")
def dice(answer: Any) -> str | None:
    """One minus twice the overlap divided by the sum of both areas."""
    truth = np.zeros((8, 8))
    truth[2:6, 2:6] = 1.0
    half = truth.copy()
    half[:, :4] = 0
    cases = [(truth, 0.0), (half, 1 - 16 / 24), (1 - truth, 1.0), (truth * 0.5, 1 - 16 / 24)]
    for probability, expected in cases:
        returned = attempt(answer, probability, truth)
        if np.ndim(returned):
            return (
                f"return one number for the whole mask, not an array of shape {np.shape(returned)}: sum over all pixels"
            )
        value = as_number(returned)
        if abs(value - expected) > 0.02:
            case = f"probabilities that sum to {probability.sum():g}, a truth of {truth.sum():g} pixels"
            overlap = f"an overlap of {(probability * truth).sum():g}"
            return f"for {case} and {overlap}, {expected:.3f} is right; yours returns {value:.3f}"
    return None


@exercise("08.correction")
def correction(answer: Any) -> str | None:
    """A click on a wrong pixel, labelled 1 where the mask is missing and 0 where it is too large."""
    for mask, truth, kind in _corrections():
        click = attempt(answer, mask.copy(), truth.copy())
        try:
            x, y, label = (int(value) for value in click)
        except (TypeError, ValueError):
            return f"return three numbers (x, y, label), not {click!r}"
        difference = _difference(x, y, label, mask, truth, kind)
        if difference is not None:
            return difference
    return None


def _corrections() -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Predicted mask, true mask, and how the one differs: nowhere is the first wrong pixel in a column like its row."""
    truth, shifted, larger = np.zeros((3, 12, 16), bool)
    truth[2:10, 4:10] = True
    shifted[2:10, 7:15] = True
    larger[2:10, 4:15] = True
    incomplete = truth.copy()
    incomplete[3, 8] = False
    cases = ((np.zeros_like(truth), "empty"), (shifted, "shifted to the right"), (larger, "too large on the right"))
    return [(mask, truth, kind) for mask, kind in (*cases, (incomplete, "complete but for one pixel"))]


def _difference(x: int, y: int, label: int, mask: np.ndarray, truth: np.ndarray, kind: str) -> str | None:
    height, width = truth.shape

    def is_wrong(row: int, column: int) -> bool:
        return 0 <= row < height and 0 <= column < width and bool(mask[row, column] != truth[row, column])

    if not is_wrong(y, x):
        if is_wrong(x, y):
            return f"({x}, {y}) is (row, column) of a wrong pixel; a click is (x, y), and x counts columns"
        if not (0 <= y < height and 0 <= x < width):
            return f"({x}, {y}) is outside the image of {width} x {height} pixels; x counts columns and y rows"
        return f"the mask is {kind}; at ({x}, {y}) it is right, so a click there corrects nothing"
    if label != int(truth[y, x]):
        return (
            f"the mask is {kind}; at ({x}, {y}) the truth is {bool(truth[y, x])}, so the label is {int(truth[y, x])}, "
            f"not {label}"
        )
    return None


@exercise("08.gain")
def gain(answer: Any) -> str | None:
    """The fraction of the errors that has gone: (after - before) / (1 - before)."""
    for before, after, expected in ((0.25, 0.75, 2 / 3), (0.5, 0.5, 0.0), (0.0, 1.0, 1.0), (0.5, 0.25, -0.5)):
        value = as_number(attempt(answer, before, after))
        if abs(value - expected) > 1e-6:
            if abs(value - expected) < 0.006:
                return f"from {before:g} to {after:g}, {expected:.6f} is right, yours: {value:.6f}; do not round"
            return f"from {before:g} to {after:g}, {expected:.3f} is right; yours: {value:.3f}"
    return None
