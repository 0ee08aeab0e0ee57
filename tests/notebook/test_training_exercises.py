"""What learners of notebook 08 are told of wrong answers."""

from __future__ import annotations

import numpy as np
import pytest

from sam2nb import notebook


def first_wrong_pixel(drawn, truth):
    return np.argwhere(drawn != truth)[0]


def last_wrong_pixel(drawn, truth):
    return np.argwhere(drawn != truth)[-1]


@pytest.mark.parametrize("pixel", [first_wrong_pixel, last_wrong_pixel])
def test_a_corrective_click_is_judged_by_its_order_and_its_label(pixel, printed):
    def click(drawn, truth, label=None):
        y, x = pixel(drawn, truth)
        return x, y, truth[y, x] if label is None else label

    def swapped(drawn, truth):
        x, y, label = click(drawn, truth)
        return y, x, label

    notebook.check("08.correction", click)
    assert printed() == "08.correction: correct"
    notebook.check("08.correction", swapped)
    assert "x counts columns" in printed()
    notebook.check("08.correction", lambda drawn, truth: click(drawn, truth, label=1))
    assert "so the label is 0, not 1" in printed()
    notebook.check("08.correction", lambda drawn, truth: click(drawn, truth, label=0))
    assert "the mask is empty" in printed()


def test_a_dice_loss_of_every_column_and_a_rounded_gain_are_told(printed):
    notebook.check("08.dice", lambda p, t: 1 - 2 * (p * t).sum(0) / (p.sum(0) + t.sum(0) + 1e-6))
    assert "one number for the whole mask, not an array of shape (8,)" in printed()
    notebook.check("08.gain", lambda before, after: round((after - before) / (1 - before), 2))
    assert "do not round" in printed()


@pytest.mark.parametrize("name", ["08.dice", "08.gain"])
def test_an_answer_that_is_no_number_is_not_correct(name, printed):
    notebook.check(name, lambda first, second: float("nan"))
    assert "correct" not in printed()
