"""Frames and masks of a video for the browser: JPEG files and runs of pixels, made on request."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from sam2nb import plotting
from sam2nb.media.video import FrameList, FrameSource
from sam2nb.media.video_file import DEFAULT_FPS, VideoEndedEarly, VideoFile
from sam2nb.predict.regions import masks_to_frame
from sam2nb.predict.video.results import frame_result
from sam2nb.predict.video.session import ObjectId
from sam2nb.widgets.base import Answer
from sam2nb.widgets.layers import SENT_QUALITY, part_jpeg, shown_size
from sam2nb.widgets.runs import pack_shown
from sam2nb.widgets.still import first_line
from sam2nb.widgets.turns import Turns
from sam2nb.widgets.video_annotation import VideoAnnotation
from sam2nb.widgets.video_masks import predicted_frames

logger = logging.getLogger(__name__)

LONGEST_FRAME = 800  # pixels: the longer side of a frame that is sent; what is zoomed is sent with all its pixels
AT_ONCE = 4  # frames whose masks are sent unasked when they change
KEPT_BYTES = 256 * 2**20  # of JPEG files: several thousand frames


class FrameReader:
    """The frames of a source for all but the tracker, which may read on another thread at the same time.

    A file gets a decoder of its own, so that looking elsewhere does not make the tracker seek. A source that is neither
    a file nor a list is read in turns with the tracker.
    """

    def __init__(self, frames: FrameSource, turns: Turns) -> None:
        is_file = isinstance(frames, VideoFile)
        self._source = copy.copy(frames) if is_file else frames
        self._turns = Turns() if is_file or isinstance(frames, FrameList) else turns
        self.size_hw: tuple[int, int] = frames.size_hw
        self.fps: float = getattr(frames, "fps", DEFAULT_FPS)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> np.ndarray:
        with self._turns.turn():
            return self._source[index]


class ShownFrames:
    """The frames of an annotated video and their masks, in the size at which they are shown."""

    def __init__(self, annotation: VideoAnnotation) -> None:
        self.annotation = annotation
        self.frames = FrameReader(annotation.session.frames, annotation.turns)
        self.shown_hw = shown_size(annotation.session.size_hw, LONGEST_FRAME)
        self.version = 0  # counts changes of masks, so that the browser knows which of its own are old
        self._files: OrderedDict[int, bytes] = OrderedDict()  # the one asked for last is at the end

    def jpeg(self, frame: int) -> bytes:
        """A frame as a JPEG file. Raises VideoEndedEarly where the video stops before it."""
        if frame not in self._files:
            self._files[frame] = plotting.jpeg_bytes(self.frames[frame], SENT_QUALITY, longest=max(self.shown_hw))
            while sum(map(len, self._files.values())) > KEPT_BYTES and len(self._files) > 1:
                self._files.popitem(last=False)
        self._files.move_to_end(frame)
        return self._files[frame]

    def masks(self, frame: int) -> tuple[dict[str, Any], list[bytes]]:
        """The masks on a frame: the numbers of the objects and their scores, and runs as `pack_shown` makes them."""
        version = self.version  # before the masks are read: a change meanwhile is newer
        numbers = {obj_id: number for number, obj_id in self.annotation.ids.items()}
        masks = self._masks(frame)
        runs = [part.tobytes() for part in pack_shown(list(masks.values()))]
        ids = [numbers[obj_id] for obj_id in masks]
        return {"frame": frame, "version": version, "ids": ids, "scores": self.scores(frame)}, runs

    def _masks(self, frame: int) -> dict[ObjectId, np.ndarray]:
        """The masks of the objects that have one on a frame, as they are shown: (h, w) bool by id"""
        session, tracker = self.annotation.session, self.annotation.predictor.tracker
        if tracker.non_overlap_masks:
            result = frame_result(session, frame, tracker.model.device, True, self.shown_hw)
            return dict(zip(result.obj_ids, (result.masks[:, 0] > 0).cpu().numpy(), strict=True))
        found = {obj_id: track.shown_at(frame) for obj_id, track in list(session.objects.items())}
        return {
            obj_id: (masks_to_frame(one.mask_logits, one.region, self.shown_hw)[0, 0] > 0).cpu().numpy()
            for obj_id, one in found.items()
            if one is not None
        }

    def scores(self, frame: int) -> dict[str, list[float]]:
        """Presence and quality of each object that has a prediction on a frame, by its number."""
        found = {}
        for number, obj_id in list(self.annotation.ids.items()):
            track = self.annotation.session.objects.get(obj_id)
            facts = None if track is None or track.shown_at(frame) is None else track.facts.get(frame)
            if facts is not None:
                found[str(number)] = [round(facts.presence, 2), round(facts.quality, 3)]
        return found

    def all_scores(self) -> dict[str, dict[str, list[float]]]:
        """The scores of all frames that have a prediction."""
        return {str(frame): self.scores(frame) for frame in predicted_frames(self.annotation.session)}

    # --- messages for the browser -------------------------------------------------------------------------------------

    def answer_frames(self, content: dict[str, Any]) -> Answer:
        """The frames that the browser asks for, one after the other; one that cannot be shown has a "problem"."""
        found, buffers = [], []
        for wanted in content["frames"]:
            try:
                answer, files = self._answer_frame(wanted)
            except Exception as problem:  # the other frames are shown
                if isinstance(problem, VideoEndedEarly):
                    self.annotation.count = problem.index
                logger.debug("frame %s cannot be shown", wanted, exc_info=True)
                answer, files = {"problem": first_line(problem)}, []
            found.append(answer)
            buffers += files
        return {"frames": found}, buffers

    def _answer_frame(self, content: dict[str, Any]) -> Answer:
        """The masks on a frame, and its JPEG file if the browser wants it."""
        frame = self.annotation.session.check_frame(content["frame"])
        picture = [self.jpeg(frame)] if content.get("picture") else []
        answer, runs = self.masks(frame)
        return answer, [*picture, *runs]

    def answer_detail(self, content: dict[str, Any]) -> Answer:
        """A part of a frame with all its pixels."""
        frame = self.annotation.session.check_frame(content["frame"])
        region, pixels = part_jpeg(self.frames[frame], content["region"])
        return {"region": region}, [pixels]

    def answer_lanes(self, _content: dict[str, Any]) -> Answer:
        """The scores of all frames."""
        version = self.version
        return {"version": version, "lanes": self.all_scores()}, []

    def changes(self, frames: Collection[int], with_masks: bool = True) -> Iterator[Answer]:
        """Messages about masks that changed: those of a few frames at once, else that all are old."""
        self.version += 1
        if len(frames) > AT_ONCE:
            yield {"kind": "lanes", "version": self.version, "lanes": self.all_scores()}, []
            return
        for frame in frames:
            if with_masks:
                answer, runs = self.masks(frame)
                yield {**answer, "kind": "masks"}, runs
            else:
                yield {"kind": "scores", "frame": frame, "version": self.version, "scores": self.scores(frame)}, []
