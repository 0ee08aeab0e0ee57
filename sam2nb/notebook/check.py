"""Exercises: a register of checkers, and what learners and graders are told of a solution.

check("02.iou", iou)      prints `not attempted`, `correct`, or what differs; never raises for a wrong solution
require("02.iou", iou)    raises AssertionError unless the solution is correct: for nbgrader and otter-grader
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Callable
from typing import Any

from sam2nb.notebook.records import note_attempt
from sam2nb.notebook.show import first_line

NOT_ATTEMPTED, CORRECT = "not attempted", "correct"
EXERCISES = "sam2nb.notebook.exercises"

Checker = Callable[..., str | None]
_CHECKERS: dict[str, Checker] = {}


class NotAttempted(Exception):
    """Raised inside a checker if the solution is still the stub."""


class WrongKind(Exception):
    """Raised inside a checker if the solution cannot be judged; its text tells the learner why."""


def exercise(name: str) -> Callable[[Checker], Checker]:
    """Register a checker. It returns None if the solution is correct, else one sentence that says what differs.

    Checkers of notebook NN are in sam2nb/notebook/exercises/nbNN.py and are named "NN.something"; their hints are in
    sam2nb/notebook/exercises/hints.py.
    """

    def register(checker: Checker) -> Checker:
        _CHECKERS[name] = checker
        return checker

    return register


def attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a learner's function inside a checker.

    If it still returns `...` it counts as not attempted. A function that returns None, and an answer that is no
    function, are told to the learner.
    """
    if not callable(function):
        raise WrongKind(f"give the function itself, without parentheses behind its name, not {function!r}")
    result = function(*args, **kwargs)
    if result is ...:
        raise NotAttempted
    if result is None:
        raise WrongKind("your function returned None: did you forget `return`?")
    return result


def exercise_names() -> list[str]:
    """The names of all exercises, in the order of the notebooks and within each as its file lists them."""
    package = importlib.import_module(EXERCISES)
    for module in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        if module.startswith("nb"):
            importlib.import_module(f"{EXERCISES}.{module}")
    return sorted(_CHECKERS, key=lambda name: name.split(".")[0])


def check(name: str, answer: Any, **given: Any) -> None:
    """Print whether an exercise is solved: `not attempted`, `correct`, or what differs.

    given: what the checker needs from the notebook, as the exercise says. A wrong solution never raises; an unknown
    name raises ValueError. Attempts and successes are counted, see `progress()`.
    """
    verdict = _verdict(_checker(name), answer, given)
    if verdict != NOT_ATTEMPTED:
        note_attempt(name, solved=verdict == CORRECT)
    print(f"{name}: {verdict}")


def require(name: str, answer: Any, **given: Any) -> None:
    """Do nothing if an exercise is solved, else raise AssertionError with what `check` would print.

    This is the form that graders run, see tools/assignment.py.
    """
    verdict = _verdict(_checker(name), answer, given)
    if verdict != CORRECT:
        raise AssertionError(f"{name}: {verdict}")


def _checker(name: str) -> Checker:
    if name not in _CHECKERS and name not in exercise_names():
        raise ValueError(f"name must be a known exercise, got {name!r}; known: {', '.join(exercise_names())}")
    return _CHECKERS[name]


def _verdict(checker: Checker, answer: Any, given: dict[str, Any]) -> str:
    if answer is ...:
        return NOT_ATTEMPTED
    if answer is None:
        return "your answer is None; if a function made it, did that forget `return`?"
    try:
        difference = checker(answer, **given)
    except NotAttempted:
        return NOT_ATTEMPTED
    except WrongKind as problem:
        return str(problem)
    except Exception as problem:  # a learner's code may raise anything and must not stop the notebook
        return f"your answer raised {type(problem).__name__}{_where(problem)}: {first_line(problem)}"
    return CORRECT if difference is None else difference


def _where(problem: Exception) -> str:
    """The line of the learner's cell that raised, or an empty text."""
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        if "ipykernel_" in frame.filename or frame.filename.startswith("<ipython"):
            return f" in line {frame.lineno} of your cell"
    return ""
