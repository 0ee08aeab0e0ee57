"""Objects of a PromptWidget: their clicks, box and strokes, as the browser and Python read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

CLOSER = "closer"  # the second look of the predictor, on the whole image
SUBPIXEL_BITS = 4  # of the coordinates that OpenCV draws with


class Stroke(NamedTuple):
    """A line painted by hand: adds is False for the eraser; radius and path, ((x, y), …), in image pixels."""

    adds: bool
    radius: float
    path: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ObjectPrompts:
    """One object as its prompts describe it.

    number: its id. points: (x, y, label) of each click, in image pixels, label 1 to include and 0 to exclude. box: x1,
    y1, x2, y2 or None. choice: which of three masks a single click means, None for the best. look: None for the whole
    image, "closer" for the second look, or x1, y1, x2, y2 of the part of the image that is encoded by itself.
    """

    number: int
    name: str
    color: int
    is_visible: bool = True
    is_accepted: bool = False
    points: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, ...] | None = None
    choice: int | None = None
    look: str | tuple[int, ...] | None = None
    strokes: tuple[Stroke, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether there is a prompt for the model."""
        return bool(self.points) or self.box is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a prompt nor a stroke."""
        return not self.asks and not self.strokes

    @property
    def is_ambiguous(self) -> bool:
        """Whether there is a single click, which may mean several things."""
        return self.box is None and len(self.points) == 1

    @property
    def seen(self) -> ObjectPrompts:
        """The object without the clicks outside of the part of the image that is looked at."""
        if not isinstance(self.look, tuple):
            return self
        x0, y0, x1, y1 = self.look
        inside = tuple(point for point in self.points if x0 <= point[0] < x1 and y0 <= point[1] < y1)
        return replace(self, points=inside)

    @property
    def key(self) -> str:
        """A text that differs if the model's answer may differ."""
        choice = None if self.seen.is_ambiguous else self.choice
        return json.dumps([self.points, self.box, self.look, choice])

    def to_state(self) -> dict[str, Any]:
        """The object as the browser keeps it."""
        return {
            "id": self.number,
            "name": self.name,
            "color": self.color,
            "visible": self.is_visible,
            "accepted": self.is_accepted,
            "points": [list(point) for point in self.points],
            "box": [] if self.box is None else list(self.box),
            "choice": self.choice,
            "look": self.look if self.look is None or isinstance(self.look, str) else list(self.look),
            "strokes": [
                {"adds": s.adds, "radius": s.radius, "path": [list(at) for at in s.path]} for s in self.strokes
            ],
        }


def from_state(state: dict[str, Any]) -> ObjectPrompts:
    """An object from `to_state`, or from a shorter dict: only "id" is needed.

    Raises ValueError for a label other than 1 and 0, and for a box without four numbers.
    """
    look = state.get("look")
    box = [float(value) for value in state.get("box") or ()]
    if len(box) not in (0, 4):
        raise ValueError(f"box must be x1, y1, x2, y2, got {box}")
    number = int(state["id"])
    return ObjectPrompts(
        number=number,
        name=str(state.get("name") or default_name(number)),
        color=int(state.get("color", number - 1)),
        is_visible=bool(state.get("visible", True)),
        is_accepted=bool(state.get("accepted", False)),
        points=tuple(_checked_point(point) for point in state.get("points") or ()),
        box=tuple(box) or None,
        choice=None if state.get("choice") is None else int(state["choice"]),
        look=look if look in (None, CLOSER) else tuple(int(value) for value in look),
        strokes=tuple(_stroke(stroke) for stroke in state.get("strokes") or ()),
    )


def default_name(number: int) -> str:
    """The name of an object that has none."""
    return f"object {number}"


def clicks(points: Any | None, labels: Any | None) -> list[list]:
    """[[x, y, label], …] from (N, 2) points and (N,) labels, by default all 1.

    Raises ValueError if the labels do not fit the points, or are neither 1 nor 0.
    """
    coords = np.zeros((0, 2)) if points is None else np.asarray(points, dtype=float).reshape(-1, 2)
    kinds = np.ones(len(coords), int) if labels is None else np.asarray(labels, dtype=int).reshape(-1)
    if len(kinds) != len(coords):
        raise ValueError(f"labels has {len(kinds)} entries for {len(coords)} points; give one label per point")
    return [list(_checked_point((x, y, kind))) for (x, y), kind in zip(coords, kinds, strict=True)]


def _checked_point(point: Sequence[float]) -> tuple[float, float, int]:
    x, y, label = point
    if label not in (0, 1):
        raise ValueError(f"labels must be 1 (include) or 0 (exclude), got {label}")
    return float(x), float(y), int(label)


def _stroke(state: Any) -> Stroke:
    adds, radius, path = (state["adds"], state["radius"], state["path"]) if isinstance(state, dict) else state
    return Stroke(bool(adds), float(radius), tuple((float(x), float(y)) for x, y in path))


def paint(mask: np.ndarray, strokes: Sequence[Any]) -> np.ndarray:
    """A mask with strokes painted into it, in their order: (H, W) bool -> (H, W) bool

    strokes: each (adds, radius, path), see `Stroke`.
    """
    painted = mask.astype(np.uint8)
    for adds, radius, path in strokes:
        line = path if len(path) > 1 else [*path, *path]  # OpenCV draws no line through a single point
        points = np.round((np.asarray(line, float).reshape(-1, 1, 2) - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
        color, width = int(adds), max(1, round(2 * radius))
        cv2.polylines(painted, [points], False, color, width, cv2.LINE_8, SUBPIXEL_BITS)
    return painted.astype(bool)
