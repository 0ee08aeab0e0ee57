"""Detections of other models as objects of a video."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from sam2nb.predict.detections import class_names, usable_detections
from sam2nb.predict.video.prompts import read_points
from sam2nb.predict.video.session import ObjectId, VideoSession
from sam2nb.predict.video.tracker import Tracker

if TYPE_CHECKING:
    import supervision as sv


def prompt_detections(tracker: Tracker, session: VideoSession, frame: int, detections: sv.Detections) -> list[ObjectId]:
    """Prompt an object for each detection, see `SAM2VideoPredictor.add_detections`. -> the ids of the objects"""
    session.check_frame(frame)
    kept, boxes = usable_detections(detections, session.size_hw)
    ids = object_ids(kept.tracker_id, len(boxes), session.objects)
    prompts = [read_points(session, None, None, box, normalize_coords=True) for box in boxes]
    for obj_id, prompt, name in zip(ids, prompts, class_names(kept), strict=True):
        tracker.prompt(session, frame, obj_id, prompt)
        session.objects[obj_id].name = name or session.objects[obj_id].name
    return ids


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
