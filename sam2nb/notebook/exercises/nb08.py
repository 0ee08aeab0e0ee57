"""Checkers of notebook 08_train_and_finetune."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.notebook.check import attempt, exercise


@exercise("08.dice")
def dice(answer: Any) -> str | None:
    """One minus twice the overlap divided by the sum of both areas."""
    truth = np.zeros((8, 8))
    truth[2:6, 2:6] = 1.0
    half = truth.copy()
    half[:, :4] = 0
    cases = [(truth, 0.0), (half, 1 - 16 / 24), (1 - truth, 1.0), (truth * 0.5, 1 - 16 / 24)]
    for probability, expected in cases:
        value = float(attempt(answer, probability, truth))
        if abs(value - expected) > 0.02:
            case = f"probabilities that sum to {probability.sum():g}, a truth of {truth.sum():g} pixels"
            overlap = f"an overlap of {(probability * truth).sum():g}"
            return f"for {case} and {overlap}, {expected:.3f} is right; yours returns {value:.3f}"
    return None


@exercise("08.correction")
def correction(answer: Any) -> str | None:
    """A click on a wrong pixel, labelled 1 where the mask is missing and 0 where it is too large."""
    truth, shifted = np.zeros((2, 12, 16), bool)
    truth[2:10, 2:8] = True
    shifted[2:10, 5:14] = True
    incomplete = truth.copy()
    incomplete[2, 2] = False
    empty = np.zeros_like(truth)
    cases = ((empty, "empty"), (shifted, "shifted to the right"), (incomplete, "complete but for one pixel"))
    for mask, kind in cases:
        click = attempt(answer, mask, truth)
        try:
            x, y, label = (int(value) for value in click)
        except (TypeError, ValueError):
            return f"return three numbers (x, y, label), not {click!r}"
        if not (0 <= y < truth.shape[0] and 0 <= x < truth.shape[1]):
            return f"({x}, {y}) is outside the image; remember that x counts columns and y rows"
        if mask[y, x] == truth[y, x]:
            return f"the mask is {kind}; at ({x}, {y}) it is right, so a click there corrects nothing"
        if label != int(truth[y, x]):
            return f"at ({x}, {y}) the truth is {bool(truth[y, x])}, so the label is {int(truth[y, x])}, not {label}"
    return None


@exercise("08.gain")
def gain(answer: Any) -> str | None:
    """The fraction of the errors that has gone: (after - before) / (1 - before)."""
    for before, after, expected in ((0.25, 0.75, 2 / 3), (0.5, 0.5, 0.0), (0.0, 1.0, 1.0), (0.5, 0.25, -0.5)):
        value = float(attempt(answer, before, after))
        if abs(value - expected) > 1e-6:
            return f"from {before:g} to {after:g}, {expected:.3f} is right; yours: {value:.3f}"
    return None
