"""Hints in steps."""

from __future__ import annotations

import pytest

from sam2nb import notebook
from sam2nb.notebook import hints
from sam2nb.notebook.check import exercise_names
from sam2nb.notebook.exercises.hints import HINTS


@pytest.fixture(autouse=True)
def nothing_shown(monkeypatch):
    monkeypatch.setattr(hints, "_shown", {})


def test_every_exercise_has_three_different_hints_and_every_hint_an_exercise():
    assert set(HINTS) == set(exercise_names())
    assert all(len(set(steps)) == 3 for steps in HINTS.values())


def test_each_call_shows_one_hint_more_and_the_last_one_is_repeated(printed):
    lines = []
    for _ in range(4):
        notebook.hint("02.iou")
        lines.append(printed())
    assert lines[0].startswith("hint 1 of 3: two areas")
    assert lines[1].startswith("hint 2 of 3: ") and lines[2].startswith("hint 3 of 3; this is the last one: ")
    assert lines[3] == lines[2]


def test_a_step_can_be_asked_for(printed):
    notebook.hint("02.iou", 2)
    assert printed().startswith("hint 2 of 3")
    with pytest.raises(ValueError, match="step must be 1 to 3 for 02.iou, got 4"):
        notebook.hint("02.iou", 4)


def test_an_unknown_exercise_is_told_with_the_nearest_name_or_those_of_its_notebook(printed):
    notebook.hint("02.iuo")
    assert printed() == "no exercise is called '02.iuo'; did you mean '02.iou'?"
    notebook.hint("02.predict")
    assert printed().endswith("known in this notebook: 02.two_prompts, 02.iou, 02.tight_box")
