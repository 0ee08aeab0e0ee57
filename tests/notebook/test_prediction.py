"""Questions with a committed answer."""

from __future__ import annotations

import pytest

from sam2nb import notebook
from sam2nb.notebook import prediction

QUESTION = ("How often?", ["once", "ten times"], "once", "The encoder runs once & for all.")


def test_outside_a_notebook_the_question_is_printed_without_the_answer(printed):
    notebook.commit(*QUESTION)
    assert printed().splitlines() == ["How often?", "  ( ) once", "  ( ) ten times"]


def test_the_answer_appears_after_a_choice_and_the_choice_is_final():
    box = prediction._widget(*QUESTION)
    _, buttons, answer = box.children
    assert buttons.value is None and answer.value == ""
    buttons.value = "ten times"
    assert answer.value == "You chose ten times; it is once. The encoder runs once & for all."
    assert buttons.disabled
    assert prediction.verdict("once", "once", "So.") == "Yes. So."


def test_without_widgets_the_answer_is_folded_and_escaped():
    page = prediction.folded(*QUESTION)
    assert "<details><summary>Answer</summary><p>once. The encoder runs once &amp; for all.</p></details>" in page


@pytest.mark.parametrize("options", [["once"], ["never", "ten times"], ["once", "once"]])
def test_options_must_differ_and_hold_the_right_one(options):
    with pytest.raises(ValueError, match="two or more different options"):
        notebook.commit("How often?", options, "once", "")
