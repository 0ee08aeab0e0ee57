"""Track through a stream that may never end: a camera, a generator, a network address.

Only the current picture is held. Of the past a stream keeps what the memory rule can still read when time runs
forwards: the prompted frames, and fifteen tracked ones for each object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from sam2nb.media.images import ImageLike, to_rgb_uint8
from sam2nb.media.video import iterate_frames
from sam2nb.predict.prompts import ArrayLike
from sam2nb.predict.video.session import ObjectId, VideoSession

if TYPE_CHECKING:
    from sam2nb.predict.video.predictor import FrameResult, SAM2VideoPredictor

MAX_PROMPTED = 8  # frames; a user who clicks for hours must not make every step slower


class CurrentFrame:
    """A source that holds one frame: the latest."""

    def __init__(self) -> None:
        self.index = -1
        self._rgb: np.ndarray | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._rgb.shape[:2]

    def __len__(self) -> int:
        return self.index + 1

    def __getitem__(self, index: int) -> np.ndarray:
        if index != self.index:
            raise ValueError(f"frame_idx must be {self.index}, the current frame, got {index}: a stream holds no other")
        return self._rgb

    def replace(self, rgb: np.ndarray) -> None:
        if self._rgb is not None and rgb.shape != self._rgb.shape:
            (height, width), (first_height, first_width) = rgb.shape[:2], self.size_hw
            raise ValueError(
                f"frame {self.index + 1} is {width}x{height}, the ones before were {first_width}x{first_height}: "
                "a stream must keep its size"
            )
        self.index, self._rgb = self.index + 1, rgb


class VideoStream:
    """A session that is fed frame by frame. Made by `SAM2VideoPredictor.stream`.

        for frame_idx, obj_ids, masks in stream:        # pulls from the frames given to it
            if frame_idx == 0:
                stream.add_new_points_or_box(obj_id=1, points=[[210, 350]], labels=[1])

    or, without an iterator, `stream.push(frame)` for each frame. Prompts are about the current frame, and return its
    result anew. Until there is an object, a result has no rows.
    """

    def __init__(
        self,
        predictor: SAM2VideoPredictor,
        frames: Iterable | str | int | None = None,
        max_prompted: int | None = MAX_PROMPTED,
    ) -> None:
        if max_prompted is not None and max_prompted < 2:
            raise ValueError(f"max_prompted must be 2 or more, or None for no limit, got {max_prompted}")
        self.predictor = predictor
        self._current = CurrentFrame()
        self._frames = None if frames is None else iterate_frames(frames)
        self.session = VideoSession(
            frames=self._current,
            size_hw=(0, 0),
            num_frames=None,
            storage=torch.device(predictor.device),
            num_maskmem=predictor.model.num_maskmem,
            max_prompted=max_prompted,
        )

    @property
    def frame_idx(self) -> int:
        """The number of the current frame, -1 before the first."""
        return self._current.index

    @property
    def obj_ids(self) -> list[ObjectId]:
        """The objects in the order of the rows of `masks`."""
        return self.session.obj_ids

    def __iter__(self) -> Iterator[FrameResult]:
        if self._frames is None:
            raise ValueError("this stream was made without frames: feed it with push(frame)")
        for frame in self._frames:
            yield self.push(frame)

    def push(self, frame: ImageLike) -> FrameResult:
        """Take the next frame and track every object onto it.

        Raises ValueError for a frame of another size; the stream then stays where it is.
        """
        rgb = to_rgb_uint8(frame)
        session, predictor = self.session, self.predictor
        if session.objects:
            predictor.settle(session)  # while the picture that was prompted is still here
        self._current.replace(rgb)
        session.size_hw = rgb.shape[:2]
        result = predictor.track_frame(session, self.frame_idx)
        for track in session.objects.values():
            track.forget_before(self.frame_idx, session.max_prompted)
        return result

    def add_new_points_or_box(
        self,
        obj_id: ObjectId,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: ArrayLike | None = None,
    ) -> FrameResult:
        """Say where an object is on the current frame; see `SAM2VideoPredictor.add_new_points_or_box`."""
        return self.predictor.add_new_points_or_box(
            self.session, self._now(), obj_id, points, labels, clear_old_points, normalize_coords, box
        )

    def add_new_mask(self, obj_id: ObjectId, mask: ArrayLike) -> FrameResult:
        """Say where an object is on the current frame, by its mask."""
        return self.predictor.add_new_mask(self.session, self._now(), obj_id, mask)

    def remove_object(self, obj_id: ObjectId) -> list[ObjectId]:
        """Forget an object; -> the ones that stay"""
        return self.predictor.remove_object(self.session, obj_id, strict=True, need_output=False)[0]

    def _now(self) -> int:
        if self.frame_idx < 0:
            raise RuntimeError("the stream has no frame yet: push one, or begin to iterate")
        return self.frame_idx
