"""Hints in steps: each call of `hint` shows one more, and the last one nearly gives the answer."""

from __future__ import annotations

from sam2nb.notebook.check import unknown_exercise
from sam2nb.notebook.exercises.hints import HINTS
from sam2nb.notebook.records import note_hint

_shown: dict[str, int] = {}


def hint(name: str, step: int | None = None) -> None:
    """Print the next hint of an exercise, for example `hint("02.iou")`.

    step: print that one instead, counted from 1. After the last hint the last one is printed again. An unknown name is
    told in a line; raises ValueError for a step that the exercise does not have.
    """
    if name not in HINTS:
        print(unknown_exercise(name, HINTS))
        return
    steps = hints_of(name)
    if step is not None and not 1 <= step <= len(steps):
        raise ValueError(f"step must be 1 to {len(steps)} for {name}, got {step!r}")
    number = step or min(_shown.get(name, 0) + 1, len(steps))
    _shown[name] = max(number, _shown.get(name, 0))
    note_hint(name, number)
    more = "" if number < len(steps) else "; this is the last one"
    print(f"hint {number} of {len(steps)}{more}: {steps[number - 1]}")


def hints_of(name: str) -> tuple[str, ...]:
    """The hints of an exercise, from a nudge to nearly the answer. Raises ValueError for an unknown exercise."""
    if name not in HINTS:
        raise ValueError(unknown_exercise(name, HINTS))
    return HINTS[name]
