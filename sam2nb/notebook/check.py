"""Exercises: a register of checkers, and the function that tells learners how their solution does."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from sam2nb.notebook.show import first_line

NOT_ATTEMPTED = "not attempted"

Checker = Callable[..., str | None]
_CHECKERS: dict[str, Checker] = {}


class NotAttempted(Exception):
    """Raised inside a checker if the solution is still the stub."""


def exercise(name: str) -> Callable[[Checker], Checker]:
    """Register a checker. It returns None if the solution is correct, else one sentence that says what differs.

    Checkers of notebook NN are in sam2nb/notebook/exercises/nbNN.py and are named "NN.something".
    """

    def register(checker: Checker) -> Checker:
        _CHECKERS[name] = checker
        return checker

    return register


def attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a learner's function inside a checker; if it still returns `...` or None, it counts as not attempted."""
    result = function(*args, **kwargs)
    if result is ... or result is None:
        raise NotAttempted
    return result


def check(name: str, answer: Any, **given: Any) -> None:
    """Print whether an exercise is solved: `not attempted`, `correct`, or what differs.

    given: what the checker needs from the notebook, as the exercise says. A wrong solution never raises; an unknown
    name raises ValueError.
    """
    print(f"{name}: {_verdict(_checker(name), answer, given)}")


def _checker(name: str) -> Checker:
    if name not in _CHECKERS:
        module = f"sam2nb.notebook.exercises.nb{name.split('.')[0]}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    if name not in _CHECKERS:
        known = ", ".join(sorted(_CHECKERS)) or "none"
        raise ValueError(f"name must be a known exercise, got {name!r}; known: {known}")
    return _CHECKERS[name]


def _verdict(checker: Checker, answer: Any, given: dict[str, Any]) -> str:
    if answer is ... or answer is None:
        return NOT_ATTEMPTED
    try:
        difference = checker(answer, **given)
    except NotAttempted:
        return NOT_ATTEMPTED
    except Exception as problem:  # a learner's code may raise anything and must not stop the notebook
        return f"your answer raised {type(problem).__name__}: {first_line(problem)}"
    return "correct" if difference is None else difference
