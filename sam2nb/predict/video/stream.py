"""Track through a stream that may never end: a camera, a generator, a network address.

A stream holds the current frame only. Of the past it keeps the memories that later frames can still attend to: for each
object those of its latest prompted frames (see `max_prompted`) and of the last fifteen frames, or whichever the memory
policy can still choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from sam2nb.media.images import ImageLike, to_rgb_uint8
from sam2nb.media.video import iterate_frames
from sam2nb.predict.prompts import ArrayLike, check_option
from sam2nb.predict.video.detections import prompt_detections
from sam2nb.predict.video.prompts import read_mask, read_points
from sam2nb.predict.video.session import FramePrompt, FrameResult, ObjectId
from sam2nb.predict.video.tracker import Tracker

if TYPE_CHECKING:
    import supervision as sv

MAX_PROMPTED = 8  # frames; hours of clicks must not make every frame slower


class CurrentFrame:
    """A frame source that holds one frame, the latest."""

    def __init__(self) -> None:
        self.index = -1
        self._rgb: np.ndarray | None = None
        self._before: np.ndarray | None = None  # until the frame has been tracked

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
        """Hold the next frame instead; ValueError for a frame of another size."""
        if self._rgb is not None and rgb.shape != self._rgb.shape:
            (height, width), (first_height, first_width) = rgb.shape[:2], self.size_hw
            raise ValueError(
                f"frame {self.index + 1} is {width}x{height}, the ones before were {first_width}x{first_height}: "
                "the frames of a stream must have the same size"
            )
        self.index, self._rgb, self._before = self.index + 1, rgb, self._rgb

    def keep(self) -> None:
        """Let go of the frame before."""
        self._before = None

    def go_back(self) -> None:
        """Hold the frame before again."""
        self.index, self._rgb, self._before = self.index - 1, self._before, None


class VideoStream:
    """A session that is fed frame by frame. Made by `SAM2VideoPredictor.stream`.

        for frame_idx, obj_ids, masks in stream:        # reads the frames given to it
            if frame_idx == 0:
                stream.add_new_points_or_box(obj_id=1, points=[[210, 350]], labels=[1])

    or, without frames, `stream.push(frame)` for each of them. Prompts are for the current frame and return its new
    result. Until an object is added, the masks of a result have no rows.

    frames: what `iterate_frames` takes, or None. max_prompted: attend to up to this many prompted frames, the latest
    ones; None for all of them.
    """

    def __init__(
        self,
        tracker: Tracker,
        frames: Iterable | str | int | None = None,
        max_prompted: int | None = MAX_PROMPTED,
    ) -> None:
        if max_prompted is not None:
            check_option("max_prompted", max_prompted, least=2)
        self._tracker = tracker
        self._current = CurrentFrame()
        self._frames = None if frames is None else iterate_frames(frames)
        self.session = tracker.open(self._current, num_frames=None, max_prompted=max_prompted)

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
        """Track every object onto the next frame.

        frame: an image of any kind. Raises ValueError for another size. After an error or Ctrl-C, the stream is still
        on the frame before, and the same frame can be pushed again.
        """
        rgb = to_rgb_uint8(frame)
        if self.session.objects:
            self.session.check_prompts()
            self._tracker.settle(self.session)  # while the prompted frame is still here
        self._current.replace(rgb)
        try:
            self._tracker.track(self.session, self.frame_idx)
            result = self._tracker.result(self.session, self.frame_idx)
        except BaseException:
            self._take_back()
            raise
        self._current.keep()
        self._tracker.forget_before(self.session, self.frame_idx)
        return result

    def _take_back(self) -> None:
        """Forget the current frame and all that was tracked on it."""
        for track in self.session.objects.values():
            track.forget(self.frame_idx)
        self._current.go_back()
        self.session.encoded = self.session.parts = None  # perhaps of the frame that is gone

    def add_new_points_or_box(
        self,
        obj_id: ObjectId,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: ArrayLike | None = None,
    ) -> FrameResult:
        """Prompt an object on the current frame; see `SAM2VideoPredictor.add_new_points_or_box`."""
        self._require_frame()
        prompt = read_points(self.session, points, labels, box, normalize_coords)
        return self._prompt(obj_id, prompt, join=not clear_old_points)

    def add_new_mask(self, obj_id: ObjectId, mask: ArrayLike) -> FrameResult:
        """Prompt an object on the current frame by its mask; see `SAM2VideoPredictor.add_new_mask`."""
        self._require_frame()
        return self._prompt(obj_id, read_mask(self.session, mask))

    def add_detections(self, detections: sv.Detections) -> FrameResult:
        """Prompt an object for each detection on the current frame; see `SAM2VideoPredictor.add_detections`."""
        self._require_frame()
        prompt_detections(self._tracker, self.session, self.frame_idx, detections)
        return self._tracker.result(self.session, self.frame_idx)

    def remove_object(self, obj_id: ObjectId) -> list[ObjectId]:
        """Forget an object; ValueError for an unknown one. -> the ids of the others"""
        self.session.track_of(obj_id)
        del self.session.objects[obj_id]
        return self.session.obj_ids

    def _prompt(self, obj_id: ObjectId, prompt: FramePrompt, join: bool = False) -> FrameResult:
        self._tracker.prompt(self.session, self.frame_idx, obj_id, prompt, join)
        return self._tracker.result(self.session, self.frame_idx)

    def _require_frame(self) -> None:
        if self.frame_idx < 0:
            raise RuntimeError("the stream has no frame yet: push one, or begin to iterate")
