"""Quizzes: well-formed questions, and answers that tell why."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sam2nb.notebook import quiz as ask
from sam2nb.notebook import show
from sam2nb.notebook.quizzes import as_html, questions_of, quiz_names

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted(path.name[:2] for path in (ROOT / "notebooks").glob("0[1-9]_*.ipynb"))


def test_every_lesson_has_a_quiz():
    assert quiz_names() == LESSONS


@pytest.mark.parametrize("name", quiz_names())
def test_three_questions_with_one_right_answer_each_and_a_reason_for_every_answer(name):
    questions = questions_of(name)
    assert len(questions) == 3
    for question in questions:
        assert question["question"].endswith("?") and question["type"] == "multiple_choice"
        assert len(question["answers"]) == 3 and sum(answer["correct"] for answer in question["answers"]) == 1
        assert all(re.match(r"[A-Z].*\.$", answer["feedback"]) for answer in question["answers"])
    places = [[answer["correct"] for answer in question["answers"]].index(True) for question in questions]
    assert len(set(places)) > 1, "the right answer is not always at the same place"


def test_a_quiz_needs_no_script_and_nothing_from_elsewhere(monkeypatch):
    shown = []
    monkeypatch.setattr("sam2nb.notebook.quizzes.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    ask("03")
    text = shown[0]["text/html"]
    assert shown[0]["text/plain"] == "quiz 03: 3 questions"
    assert "<script" not in text and "http" not in text and text.count("<details") == 9
    HTMLParser().feed(text)


def test_signs_in_a_question_are_not_taken_for_html():
    answers = [{"answer": "a < b & c", "correct": True, "feedback": "<i>"}]
    text = as_html([{"question": "1 < 2?", "answers": answers}])
    assert "1 &lt; 2?" in text and "a &lt; b &amp; c" in text and "&lt;i&gt;" in text


def test_outside_a_notebook_a_quiz_is_text(printed):
    assert not show.in_notebook()
    ask("01")
    lines = printed().splitlines()
    assert lines[0] == "quiz 01" and lines[-1] == "right: 1a, 2b, 3b"


def test_an_unknown_quiz_names_those_there_are():
    with pytest.raises(ValueError, match="name must be one of 01, .*09; got '77'"):
        ask("77")
