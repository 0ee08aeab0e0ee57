"""Exercises: a register of checkers, and what learners and graders are told of a solution.

check("02.iou", iou)      prints `not attempted`, `correct`, or what differs; never raises for a wrong solution
require("02.iou", iou)    raises AssertionError unless the solution is correct: for nbgrader and otter-grader
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import traceback
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

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


def as_number(value: Any) -> float:
    """Read one finite number inside a checker; anything else is told to the learner by its kind."""
    if isinstance(value, str) or np.ndim(value) > 0 and np.size(value) != 1:
        raise WrongKind(f"one number is wanted, not {kind_of(value)}")
    number = float(np.asarray(value).reshape(()))
    if not np.isfinite(number):
        raise WrongKind(f"a finite number is wanted, not {number}")
    return number


def kind_of(value: Any) -> str:
    """The kind of a value, as a learner would say it: "a str", "an array of shape (2, 3)"."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


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
        raise ValueError(unknown_exercise(name, exercise_names()))
    return _CHECKERS[name]


def unknown_exercise(name: str, known: Collection[str]) -> str:
    """The sentence about a name that no exercise has: the nearest one, and those of the same notebook."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.75)
    same = [other for other in known if other.split(".")[0] == str(name).split(".")[0]]
    if near:
        return f"no exercise is called {name!r}; did you mean {near[0]!r}?"
    return f"no exercise is called {name!r}; known{' in this notebook' if same else ''}: {', '.join(same or known)}"


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
        if _is_raised_by_learner(problem):
            return f"your answer raised {type(problem).__name__}{_where(problem)}: {first_line(problem)}"
        found = "what your function returns" if callable(answer) else f"your answer, {kind_of(answer)},"
        return f"{found} has another form than is asked for ({type(problem).__name__}: {first_line(problem)})"
    return CORRECT if difference is None else difference


def _is_raised_by_learner(problem: Exception) -> bool:
    """Whether the learner's function raised it, and not the checker, which could not read the answer."""
    frames = traceback.extract_tb(problem.__traceback__)
    return any(frame.name == attempt.__name__ and frame.filename == __file__ for frame in frames)


def _where(problem: Exception) -> str:
    """The line of the learner's cell that raised, or an empty text."""
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        if "ipykernel_" in frame.filename or frame.filename.startswith("<ipython"):
            return f" in line {frame.lineno} of your cell"
    return ""
