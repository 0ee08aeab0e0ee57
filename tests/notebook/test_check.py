"""Checked exercises: not attempted, correct, or what differs."""

from __future__ import annotations

import numpy as np
import pytest

from sam2nb import notebook


@pytest.mark.parametrize("answer", [..., None])
def test_an_untouched_stub_is_not_attempted(answer, printed):
    notebook.check("02.iou", answer)
    assert printed() == "02.iou: not attempted"


def test_a_function_that_still_returns_the_stub_is_not_attempted(printed):
    notebook.check("02.iou", lambda first, second: ...)
    assert printed() == "02.iou: not attempted"


def test_correct_wrong_and_raising_solutions_are_told_apart(printed):
    def correct(first, second):
        return (first & second).sum() / (first | second).sum()

    notebook.check("02.iou", correct)
    assert printed() == "02.iou: correct"
    notebook.check("02.iou", lambda first, second: (first & second).sum() / first.sum())
    assert "0.143 is right" in printed()
    notebook.check("02.iou", lambda first, second: first["a"])
    assert "your answer raised IndexError" in printed()


def test_an_unknown_exercise_is_an_error_of_the_author():
    with pytest.raises(ValueError, match="99.nothing"):
        notebook.check("99.nothing", 1)


def test_the_tight_box_may_include_the_last_pixel_or_not(printed):
    def box(mask, extra=0):
        ys, xs = np.nonzero(mask)
        return [xs.min(), ys.min(), xs.max() + extra, ys.max() + extra]

    for extra in (0, 1):
        notebook.check("02.tight_box", lambda mask, extra=extra: box(mask, extra))
        assert printed() == "02.tight_box: correct"
    notebook.check("02.tight_box", lambda mask: box(mask.T))
    assert "for columns 3 to 9 and rows 1 to 4" in printed()
    notebook.check("01.covered", lambda mask: mask.mean())
    assert printed() == "01.covered: correct"
