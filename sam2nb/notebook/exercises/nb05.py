"""Checkers of notebook 05_checkpoint_comparison."""

from __future__ import annotations

from typing import Any

from sam2nb.evaluation.charts import pareto_front
from sam2nb.notebook.check import attempt, exercise


@exercise("05.not_beaten")
def not_beaten(answer: Any) -> str | None:
    """Indices of the choices that no other choice beats in both cost and gain."""
    # without ties, so that "costs less" and "costs no more" are both right
    cases = [([1, 2, 3], [10, 20, 30]), ([1, 2, 3], [30, 20, 10]), ([3, 1, 2, 4], [5, 4, 7, 6]), ([2], [7])]
    for cost, gain in cases:
        found = sorted(int(index) for index in attempt(answer, cost, gain))
        expected = sorted(pareto_front(cost, gain))
        if found != expected:
            return f"for cost {cost} and gain {gain}, {expected} is right; yours: {found}"
    return None


@exercise("05.objects_in_time")
def objects_in_time(answer: Any) -> str | None:
    """How many objects fit into the time of a frame, if a frame costs E and every object another M."""
    # fractions of two, so that no way to round them gives another answer
    for per_frame, per_object, budget, expected in ((0.25, 0.125, 1.25, 8), (1.0, 0.5, 0.75, 0), (0.25, 0.5, 2.0, 3)):
        found = int(attempt(answer, per_frame, per_object, budget))
        if found != expected:
            costs = f"{per_frame} s a frame, {per_object} s an object and {budget} s to spend"
            return f"with {costs}, {expected} objects fit; yours: {found}"
    return None
