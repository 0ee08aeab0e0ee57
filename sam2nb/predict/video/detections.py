"""Detections of other models as objects of a video."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sam2nb.predict.detections import class_names, usable_detections
from sam2nb.predict.video.prompts import read_points
from sam2nb.predict.video.session import FramePrompt, ObjectId, VideoSession
from sam2nb.predict.video.tracker import Tracker

if TYPE_CHECKING:
    import supervision as sv


class NamedPrompt(NamedTuple):
    """The box of a detection as a prompt, and its class name, if it has one."""

    prompt: FramePrompt
    name: str | None


def prompt_detections(tracker: Tracker, session: VideoSession, frame: int, detections: sv.Detections) -> None:
    """Prompt an object for each detection, see `SAM2VideoPredictor.add_detections`."""
    frame = session.check_frame(frame)
    for obj_id, (prompt, name) in read_detections(session, detections, session.objects).items():
        tracker.prompt(session, frame, obj_id, prompt)
        session.objects[obj_id].name = name or session.objects[obj_id].name


def read_detections(
    session: VideoSession, detections: sv.Detections, known: Collection[ObjectId] = ()
) -> dict[ObjectId, NamedPrompt]:
    """The prompt for the object of each detection.

    known: ids that only a detection with that tracker id may have. Raises what `add_detections` raises.
    """
    kept, boxes = usable_detections(detections, session.size_hw)
    ids = object_ids(kept.tracker_id, len(boxes), known)
    prompts = [read_points(session, None, None, box, normalize_coords=True) for box in boxes]
    return dict(zip(ids, map(NamedPrompt, prompts, class_names(kept)), strict=True))


def object_ids(tracker_ids: np.ndarray | None, count: int, known: Collection[ObjectId]) -> list[int]:
    """The object of each of `count` detections: its tracker id, or else the next free number.

    tracker_ids: negative where a detection has none. known: the ids of a session's objects.
    Raises ValueError for an id that comes twice.
    """
    given = [-1] * count if tracker_ids is None else [int(number) for number in tracker_ids]
    own = [number for number in given if number >= 0]
    twice = sorted({number for number in own if own.count(number) > 1})
    if twice:
        raise ValueError(f"tracker_id must differ between the detections of a frame, got {twice[0]} more than once")
    taken = [*own, *(obj_id for obj_id in known if isinstance(obj_id, (int, np.integer)))]
    following = max((0, *taken)) + 1
    ids = []
    for number in given:
        ids.append(number if number >= 0 else following)
        following += number < 0
    return ids
