"""Checkers of notebook 05_checkpoint_comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.evaluation.charts import pareto_front
from sam2nb.notebook.check import WrongKind, attempt, exercise

VERDICTS = ("A", "B", "cannot tell")


@exercise("05.not_beaten")
def not_beaten(answer: Any) -> str | None:
    """Indices of the choices that no other choice beats in both cost and gain."""
    if answer is pareto_front:
        return "this is the function of the package; write your own"
    # without ties, so that "costs less" and "costs no more" are both right
    cases = [([1, 2, 3], [10, 20, 30]), ([1, 2, 3], [30, 20, 10]), ([3, 1, 2, 4], [5, 4, 7, 6]), ([2], [7])]
    for cost, gain in cases:
        found = sorted(_index(value) for value in attempt(answer, cost, gain))
        expected = sorted(pareto_front(cost, gain))
        if found != expected:
            return f"for cost {cost} and gain {gain}, {expected} is right; yours: {found}"
    return None


def _index(value: Any) -> int:
    """A whole number of a learner's list, of Python or numpy."""
    if isinstance(value, bool | np.bool_):
        raise WrongKind("return the indices of the choices, such as [0, 2], not True or False for each")
    if np.ndim(value):
        raise WrongKind("return one list of indices; np.nonzero gives a tuple, whose first entry holds them: add [0]")
    if value != int(value):
        raise WrongKind(f"indices are whole numbers; yours has {value}")
    return int(value)


@exercise("05.objects_in_time")
def objects_in_time(answer: Any) -> str | None:
    """How many objects fit into the time of a frame, if a frame costs E and every object another M."""
    # fractions of two, so that no way to round them gives another answer
    cases = ((0.25, 0.125, 1.25, 8), (1.0, 0.5, 0.75, 0), (1.0, 0.125, 0.5, 0), (0.25, 0.5, 2.0, 3))
    for per_frame, per_object, budget, expected in cases:
        found = attempt(answer, per_frame, per_object, budget)
        if found != expected:
            costs = f"{per_frame} s a frame, {per_object} s an object and {budget} s to spend"
            return f"with {costs}, {expected} objects fit; yours: {found} (whole objects only, and never below 0)"
    return None


@exercise("05.better")
def better(answer: Any) -> str | None:
    """Whether A or B is better on the same objects, or whether the interval of the gain contains 0."""
    hard_and_easy = np.linspace(0.3, 0.9, 20)
    steady, shaken = np.full(20, 0.05), np.tile([0.3, -0.25], 10)  # a mean gain of 0.050 and of 0.025
    steady[::4] = 0.02
    cases = [
        ("A gains a little on every object", hard_and_easy + steady, hard_and_easy, "A"),
        ("B gains a little on every object", hard_and_easy, hard_and_easy + steady, "B"),
        ("A gains much on half of the objects and loses much on the other half", 0.5 + shaken, [0.5] * 20, VERDICTS[2]),
        ("A and B score the same on every object", hard_and_easy, hard_and_easy, VERDICTS[2]),
    ]
    for case, a, b, expected in cases:
        found = attempt(answer, np.asarray(a).tolist(), np.asarray(b).tolist())
        if found not in VERDICTS:
            raise WrongKind(f'return "A", "B" or "cannot tell", not {found!r}')
        if found != expected:
            return f'where {case}, "{expected}" is right; yours: "{found}"'
    return None
