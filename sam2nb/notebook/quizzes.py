"""Quizzes: three questions on each notebook, answered by unfolding; they need no script and no network.

The questions are JSON files in questions/, in the form of jupyterquiz (multiple choice). They are shown as plain HTML,
so that they also work on stored pages, in Colab and without trust in the notebook's scripts.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from sam2nb.notebook.show import in_notebook

FOLDER = Path(__file__).parent / "questions"
RIGHT, WRONG = "Right.", "Not this one."
STYLE = "margin:.2rem 0 .2rem 1rem"


def quiz_names() -> list[str]:
    """The numbers of the notebooks that have a quiz: "01", "02", …"""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def questions_of(name: str) -> list[dict[str, Any]]:
    """The questions on a notebook: dicts with question and answers, each with answer, correct and feedback.

    Raises ValueError for a notebook without a quiz.
    """
    if name not in quiz_names():
        raise ValueError(f"name must be one of {', '.join(quiz_names())}; got {name!r}")
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def quiz(name: str) -> None:
    """Ask three questions on a notebook, for example quiz("02"): unfold an answer to see whether it is right."""
    questions = questions_of(name)
    if not in_notebook():
        print(as_text(name, questions))
        return
    from IPython.display import display

    display({"text/html": as_html(questions), "text/plain": f"quiz {name}: {len(questions)} questions"}, raw=True)


def as_html(questions: list[dict[str, Any]]) -> str:
    """Questions as HTML: a list, each answer of which unfolds."""
    return f"<ol>{''.join(map(_item, questions))}</ol>"


def as_text(name: str, questions: list[dict[str, Any]]) -> str:
    """Questions as text, the answers by letter and the right ones at the end."""
    lines, right = [f"quiz {name}"], []
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {question['question']}")
        for letter, answer in zip("abcdef", question["answers"], strict=False):
            lines.append(f"   {letter}) {answer['answer']}")
            right += [f"{number}{letter}"] if answer["correct"] else []
    return "\n".join([*lines, f"right: {', '.join(right)}"])


def _item(question: dict[str, Any]) -> str:
    answers = "".join(map(_answer, question["answers"]))
    return f"<li style='margin-bottom:.8rem'><b>{html.escape(question['question'])}</b>{answers}</li>"


def _answer(answer: dict[str, Any]) -> str:
    verdict = f"<b>{RIGHT if answer['correct'] else WRONG}</b> {html.escape(answer['feedback'])}"
    summary = f"<summary style='cursor:pointer'>{html.escape(answer['answer'])}</summary>"
    return f"<details style='{STYLE}'>{summary}<div style='{STYLE}'>{verdict}</div></details>"
