"""Masks of a tracked video by frame and name, made when they are asked for: `masks[12]["cup"]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.session import ObjectId, VideoSession


class VideoMasks(Mapping[int, dict[str, np.ndarray]]):
    """The masks of a session: a dict of (H, W) bool by name, for each frame on which an object has one.

    names: of the objects, by id. An object without a prediction on a frame is missing there; one that is absent has an
    empty mask.
    """

    def __init__(self, predictor: SAM2VideoPredictor, session: VideoSession, names: dict[ObjectId, str]) -> None:
        self.predictor, self.session, self.names = predictor, session, names

    def __getitem__(self, frame: int) -> dict[str, np.ndarray]:
        known = [obj_id for obj_id in self.names if self._has(obj_id, frame)]
        if not known:
            raise KeyError(frame)
        result = self.predictor.tracker.result(self.session, frame)
        rows = {obj_id: row for row, obj_id in enumerate(result.obj_ids)}
        return {self.names[one]: (result.masks[rows[one], 0] > 0).cpu().numpy() for one in known}

    def __iter__(self) -> Iterator[int]:
        return iter(predicted_frames(self.session))

    def __len__(self) -> int:
        return len(predicted_frames(self.session))

    def _has(self, obj_id: ObjectId, frame: int) -> bool:
        track = self.session.objects.get(obj_id)
        return track is not None and track.shown_at(frame) is not None


def predicted_frames(session: VideoSession) -> list[int]:
    """The frames on which any object has a prediction, in order."""
    frames: set[int] = set()
    for track in list(session.objects.values()):
        frames.update(list(track.pending), list(track.bank.prompted), list(track.bank.tracked))
    return sorted(frames)
