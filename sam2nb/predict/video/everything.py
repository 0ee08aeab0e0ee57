"""Track everything in a video: everything mode on key frames, tracking between them.

    for frame_idx, obj_ids, masks in track_everything(predictor, "clip.mp4"):
        ...

Every N-th frame is a key frame. Masks found there that match no tracked object become new objects; an object that was
lost may return under its old id (`association.py`). The official package has no counterpart.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from sam2nb.masks.rle import Rle, as_rle, rle_from_mask
from sam2nb.media.images import ImageLike, to_rgb_uint8
from sam2nb.media.progress import with_bar
from sam2nb.media.video import FrameSource, VideoLike, iterate_frames, open_frames
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator
from sam2nb.predict.regions import masks_to_frame
from sam2nb.predict.video.association import Identities, use_once
from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.prompts import read_mask
from sam2nb.predict.video.session import FrameResult, ObjectId, ObjectTrack, VideoSession

# A key frame need not show every object, later ones make up for it. So the grid is coarse; both thresholds are below
# the defaults of everything mode, which few masks of sam2nb_nano reach.
KEY_FRAME_SETTINGS = {"points_per_side": 16, "pred_iou_thresh": 0.7, "stability_score_thresh": 0.8}

log = logging.getLogger(__name__)


class EverythingStream:
    """A stream of which everything is tracked. Feed it with `push(frame)`, or iterate over it if it has frames.

    predictor: the tracker and its options. frames: whatever `SAM2VideoPredictor.stream` takes, None to push them.
    every: distance of the key frames. max_objects: limit of the objects that are tracked or rest; memory is bounded by
    it. min_area: masks below this share of the frame are left out. rest_after: an object that is absent on this many
    frames in a row rests: it is no longer computed, except on key frames, where it may return.
    generator: everything mode for key frames, None for one that suits small models, with a grid of 16 x 16 points.
    ids: ids of new objects, all different, None for 1, 2, 3, …; where they end, no more objects join.

    resting: the tracks of the objects that rest.

    Raises ValueError for numbers that make no sense.
    """

    def __init__(
        self,
        predictor: SAM2VideoPredictor,
        frames: Iterable | str | int | None = None,
        *,
        every: int = 10,
        max_objects: int = 32,
        min_area: float = 0.002,
        rest_after: int = 15,
        generator: SAM2AutomaticMaskGenerator | None = None,
        ids: Iterable[ObjectId] | None = None,
    ) -> None:
        for name, value in (("every", every), ("max_objects", max_objects), ("rest_after", rest_after)):
            if not hasattr(value, "__index__") or value < 1:
                raise ValueError(f"{name} must be a whole number, 1 or more, got {value!r}")
        if not 0 <= min_area < 1:
            raise ValueError(f"min_area must be a share of the frame, at least 0 and below 1, got {min_area!r}")
        self.every, self.min_area = every, min_area
        self.generator = generator or SAM2AutomaticMaskGenerator(
            predictor.model, output_mode="coco_rle", **KEY_FRAME_SETTINGS
        )
        self.resting: dict[ObjectId, ObjectTrack] = {}
        self._identities = Identities(max_objects, rest_after, use_once(None if ids is None else iter(ids)))
        self._tracker = predictor.tracker
        self._stream = predictor.stream()
        self._frames = None if frames is None else iterate_frames(frames)

    @property
    def session(self) -> VideoSession:
        """The tracked objects and the current frame."""
        return self._stream.session

    @property
    def frame_idx(self) -> int:
        """The number of the current frame, -1 before the first."""
        return self._stream.frame_idx

    @property
    def obj_ids(self) -> list[ObjectId]:
        """The tracked objects in the order of the rows of `masks`."""
        return self._stream.obj_ids

    def __iter__(self) -> Iterator[FrameResult]:
        if self._frames is None:
            raise ValueError("this stream was made without frames: feed it with push(frame)")
        for frame in self._frames:
            yield self.push(frame)

    def push(self, frame: ImageLike) -> FrameResult:
        """Track every object onto the next frame; on a key frame, also find new and lost ones.

        frame: an image of any kind. Raises ValueError for another size; the stream then stays on its frame.
        """
        rgb = to_rgb_uint8(frame)
        self._identities.keep(self.session.objects)
        for obj_id in self._identities.rest(self.frame_idx + 1):
            self.resting[obj_id] = self.session.objects.pop(obj_id)
        result = self._stream.push(rgb)
        visible = {obj_id: self._is_visible(track) for obj_id, track in self.session.objects.items()}
        self._identities.note(self.frame_idx, visible, self._place_before)
        if self.frame_idx % self.every:
            return result
        found = self._segment(rgb)
        return self._meet(found, result) if found else result

    def _segment(self, rgb: np.ndarray) -> list[Rle]:
        """The masks of everything mode that are large enough, best first."""
        least = max(self.min_area * rgb.shape[0] * rgb.shape[1], 1)
        rles = [as_rle(record["segmentation"]) for record in self.generator.generate(rgb)]
        return [rle for rle in rles if rle.area >= least]

    def _meet(self, found: list[Rle], result: FrameResult) -> FrameResult:
        """Prompt the objects that join or return by their masks. -> the new result"""
        seen = self._visible_masks(self.session, result)
        prompts, forgotten = self._identities.meet(found, seen, self._recall())
        for obj_id in forgotten:
            del self.resting[obj_id]
        for obj_id, rle in prompts.items():
            if obj_id in self.resting:
                self.session.objects[obj_id] = self.resting.pop(obj_id)
            prompt = read_mask(self.session, rle.to_mask())
            self._tracker.prompt(self.session, self.frame_idx, obj_id, prompt)
        return self._tracker.result(self.session, self.frame_idx) if prompts else result

    def _recall(self) -> dict[ObjectId, Rle]:
        """The masks that the memories of resting objects predict on the current frame."""
        if not self.resting:
            return {}
        session = replace(self.session, objects=self.resting)  # the same frame, the same features
        self._tracker.track(session, self.frame_idx)
        self.session.encoded = session.encoded
        self._tracker.forget_before(session, self.frame_idx)
        return self._visible_masks(session, self._tracker.result(session, self.frame_idx))

    def _visible_masks(self, session: VideoSession, result: FrameResult) -> dict[ObjectId, Rle]:
        inside = (result.masks[:, 0] > 0).cpu().numpy()
        return {
            obj_id: rle_from_mask(mask)
            for (obj_id, track), mask in zip(session.objects.items(), inside, strict=True)
            if self._is_visible(track)
        }

    def _is_visible(self, track: ObjectTrack) -> bool:
        return track.facts[self.frame_idx].visible

    def _place_before(self, obj_id: ObjectId) -> Rle:
        """The mask of an object on the frame before the current one."""
        memory = self.session.objects[obj_id].bank[self.frame_idx - 1]
        mask = masks_to_frame(memory.mask_logits, memory.region, self.session.size_hw)[0, 0] > 0
        return rle_from_mask(mask.cpu().numpy())


def track_everything(
    predictor: SAM2VideoPredictor,
    video: VideoLike | FrameSource,
    *,
    every: int = 10,
    max_objects: int = 32,
    min_area: float = 0.002,
    rest_after: int = 15,
    generator: SAM2AutomaticMaskGenerator | None = None,
    ids: Iterable[ObjectId] | None = None,
) -> Iterator[FrameResult]:
    """Track everything in a video: yields one `FrameResult` per frame, as `propagate_in_video` does.

    video: whatever `init_state` takes; frames are read one by one. The others: see `EverythingStream`, which does the
    same for a camera or a network address. An object has a row in the results while it is tracked, and the same id
    whenever it is; its mask is empty where it is absent. Without any object, the masks have no rows.

    Raises ValueError for numbers that make no sense, and what `open_frames` raises. A file that ends early is tracked
    as far as it decodes.
    """
    stream = EverythingStream(
        predictor,
        every=every,
        max_objects=max_objects,
        min_area=min_area,
        rest_after=rest_after,
        generator=generator,
        ids=ids,
    )
    return _results(stream, open_frames(video, progress=predictor.progress), predictor.progress)


def _results(stream: EverythingStream, frames: FrameSource, progress: bool) -> Iterator[FrameResult]:
    for index in with_bar(range(len(frames)), "track everything", progress):
        try:
            frame = frames[index]
        except VideoEndedEarly as end:
            log.warning("%s; tracking stops before frame %d", end, end.index)
            return
        yield stream.push(frame)
