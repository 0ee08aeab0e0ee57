"""Objects of a VideoPromptWidget: their prompts on the frames, as the browser and Python read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from sam2nb.predict.video.session import FramePrompt, ObjectId, VideoSession
from sam2nb.structures import BOX_CORNER_LABELS
from sam2nb.widgets.objects import default_name, from_state


class Clicks(NamedTuple):
    """The prompts for one object on one frame: points as (x, y, label), a box x1, y1, x2, y2 or None, in pixels."""

    points: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no prompt."""
        return not self.points and self.box is None

    def grew_from(self, before: Clicks) -> bool:
        """Whether these are the prompts before, and more."""
        return self.points[: len(before.points)] == before.points and before.box in (None, self.box)

    def to_state(self) -> dict[str, Any]:
        """The prompts as the browser keeps them."""
        return {"points": [list(point) for point in self.points], "box": list(self.box or ())}

    @property
    def arguments(self) -> dict[str, list]:
        """The prompts by the names of the predictor's arguments."""
        given = {"points": [list(p[:2]) for p in self.points], "labels": [p[2] for p in self.points]}
        return {**(given if self.points else {}), **({} if self.box is None else {"box": list(self.box)})}


NO_CLICKS = Clicks()


@dataclass(frozen=True)
class VideoObject:
    """One object and its prompts by frame. number: its id in the widget. color: an index of the palette."""

    number: int
    name: str
    color: int
    is_visible: bool = True
    frames: dict[int, Clicks] = field(default_factory=dict)

    @property
    def class_name(self) -> str | None:
        """The name, if a person gave it one."""
        return None if self.name == default_name(self.number) else self.name

    def to_state(self) -> dict[str, Any]:
        """The object as the browser keeps it."""
        frames = {str(frame): clicks.to_state() for frame, clicks in self.frames.items() if not clicks.is_empty}
        state = {"id": self.number, "name": self.name, "color": self.color, "visible": self.is_visible}
        return {**state, "frames": frames}


def video_object(state: dict[str, Any]) -> VideoObject:
    """An object from `to_state`, or from a shorter dict: only "id" is needed.

    Raises ValueError for a label other than 1 and 0, and for a box without four numbers.
    """
    frames = {}
    for frame, given in (state.get("frames") or {}).items():
        read = from_state({"id": state["id"], **given})
        frames[int(frame)] = Clicks(read.points, read.box)
    frames = {frame: clicks for frame, clicks in frames.items() if not clicks.is_empty}
    named = from_state({name: state[name] for name in ("id", "name", "color", "visible") if name in state})
    return VideoObject(named.number, named.name, named.color, named.is_visible, frames)


class VideoPrompt(NamedTuple):
    """The prompts for one object on one frame: points (N, 2) and box (4,) or None in pixels, labels (N,) 1 or 0."""

    frame: int
    name: str
    points: np.ndarray
    labels: np.ndarray
    box: np.ndarray | None


def prompts_of(objects: Iterable[VideoObject]) -> list[VideoPrompt]:
    """All prompts of objects, in the order of their frames."""
    found = []
    for one in objects:
        for frame, (points, box) in one.frames.items():
            places = np.array([point[:2] for point in points], np.float32).reshape(-1, 2)
            labels = np.array([point[2] for point in points], np.int32)
            corners = None if box is None else np.array(box, np.float32)
            found.append(VideoPrompt(frame, one.name, places, labels, corners))
    return sorted(found, key=lambda prompt: prompt.frame)


def with_prompt(objects: Sequence[VideoObject], frame: int, name: str, clicks: Clicks) -> tuple[list[VideoObject], int]:
    """Objects with more clicks, or another box, on a frame of the one of that name. -> them, and its number

    A new name goes to an object that nobody has prompted or named, else to a new object.
    """
    chosen = next((one for one in objects if one.name == name), None)
    chosen = chosen or next((one for one in objects if not one.frames and one.class_name is None), None)
    number = max((one.number for one in objects), default=0) + 1
    chosen = chosen or VideoObject(number, name, number - 1)
    before = chosen.frames.get(frame, NO_CLICKS)
    joined = Clicks(before.points + clicks.points, before.box if clicks.box is None else clicks.box)
    changed = replace(chosen, name=name, frames={**chosen.frames, frame: joined})
    return list({**{one.number: one for one in objects}, changed.number: changed}.values()), changed.number


def distinct_names(objects: Iterable[VideoObject]) -> dict[int, str]:
    """The name of each object by its number; where two have the same, their numbers follow it."""
    objects = list(objects)
    counts = Counter(one.name for one in objects)
    return {o.number: o.name if counts[o.name] == 1 else f"{o.name} {o.number}" for o in objects}


def numbers_of(ids: Iterable[ObjectId]) -> dict[int, ObjectId]:
    """A number for each object of a session: its id if that is a positive integer, else a free one."""
    ids = list(ids)
    taken = {one: one for one in ids if isinstance(one, int) and one > 0}
    free = (number for number in range(1, len(ids) + max(taken, default=0) + 1) if number not in taken)
    return {(one if one in taken else next(free)): one for one in ids}


def objects_in(session: VideoSession, numbers: dict[int, ObjectId]) -> list[VideoObject]:
    """The objects of a session that was prompted elsewhere; prompts that are masks cannot be shown."""
    found = []
    for row, (number, obj_id) in enumerate(numbers.items()):
        track = session.objects[obj_id]
        name = track.name or (str(obj_id) if obj_id != number else default_name(number))
        frames = {frame: _clicks_of(prompt, session) for frame, prompt in track.prompts.items()}
        shown = {frame: clicks for frame, clicks in frames.items() if not clicks.is_empty}
        found.append(VideoObject(number, name, row, True, shown))
    return found


def _clicks_of(prompt: FramePrompt, session: VideoSession) -> Clicks:
    """The clicks and the box of a prompt, back in pixels of the video."""
    if prompt.points is None:
        return NO_CLICKS
    scale = np.array(session.size_hw[::-1]) / session.inputs.image_size
    places = np.round(prompt.points[0].cpu().numpy() * scale, 2).tolist()
    labels = prompt.labels[0].tolist()
    has_box = labels[:2] == list(BOX_CORNER_LABELS)
    points = [(*at, label) for at, label in zip(places, labels, strict=True) if label in (0, 1)]
    return Clicks(tuple(points), tuple(places[0] + places[1]) if has_box else None)
