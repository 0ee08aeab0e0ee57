"""Track objects through videos, by the official names (SAM 2, arXiv 2408.00714, section 4).

Differs from the official package: the predictor holds a model instead of inheriting from it, keeps its state in
dataclasses (`VideoSession`), and leaves frames as uint8 or in their file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sam2nb.media.progress import with_bar
from sam2nb.media.video import Prefetched, VideoLike, open_frames
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.pretrained import load_pretrained
from sam2nb.predict.prompts import ArrayLike, check_option
from sam2nb.predict.video.detections import prompt_detections
from sam2nb.predict.video.memory import choose_memory
from sam2nb.predict.video.policies import choose_policy
from sam2nb.predict.video.prompts import read_mask, read_points
from sam2nb.predict.video.region_tracker import RegionTracker
from sam2nb.predict.video.saving import load_session, save_session
from sam2nb.predict.video.session import FrameResult, ObjectId, VideoSession
from sam2nb.predict.video.stream import MAX_PROMPTED, VideoStream
from sam2nb.predict.video.tracker import FILL_HOLE_AREA, Tracker

if TYPE_CHECKING:
    import supervision as sv

log = logging.getLogger(__name__)

SEARCHES = {kind.search: kind for kind in (Tracker, RegionTracker)}


def _option(name: str) -> property:
    """An option of the tracker as an attribute of the predictor, where the official package has it."""
    return property(lambda self: getattr(self.tracker, name), lambda self, value: setattr(self.tracker, name, value))


class SAM2VideoPredictor:
    """Track objects through videos. One predictor serves any number of sessions.

    model: from `load_model` or `build_sam2`.
    memory: which frames are remembered, and how. "official", as trained; "steady", the same but only frames on which
        the object was clearly seen; "anchored", steady and frames kept for good that tell it from a distractor (see
        `policies`); "match", which compares image features and works with image-only weights too (see `matching`).
        None takes the official memory wherever the model has weights for it, else "match".
    search: "frame", or "region", a square around the last mask, which shows small objects larger; see `search`.
    motion: let the speed of an object count in the choice among the decoder's masks; see `motion`.
    closer: answer clicks and boxes on small objects again on a crop, see the module `closer`.
    fill_hole_area, max_sprinkle_area, non_overlap_masks, binarize_prompted: see `Tracker`. These and `closer` can be
        changed later.
    progress: show a bar while propagating.

    Raises ValueError for another memory or search, for the official memory without weights for it, or for an
    area that is no finite number.
    """

    fill_hole_area = _option("fill_hole_area")
    max_sprinkle_area = _option("max_sprinkle_area")
    non_overlap_masks = _option("non_overlap_masks")
    binarize_prompted = _option("binarize_prompted")
    closer = _option("closer")

    def __init__(
        self,
        model: SAM2,
        *,
        memory: str | None = None,
        search: str = "frame",
        closer: bool = False,
        motion: bool = False,
        fill_hole_area: int = FILL_HOLE_AREA,
        max_sprinkle_area: int = 0,
        non_overlap_masks: bool = False,
        binarize_prompted: bool = True,
        progress: bool = True,
    ) -> None:
        if search not in SEARCHES:
            raise ValueError(f"search must be one of {', '.join(SEARCHES)}, got {search!r}")
        if motion and memory == "match":
            raise ValueError(
                'motion chooses among the masks of the learned memory: it cannot be used with memory="match"'
            )
        check_option("fill_hole_area", fill_hole_area, least=0)
        check_option("max_sprinkle_area", max_sprinkle_area, least=0)
        self.model = model
        policy = choose_policy(memory)
        self.tracker = SEARCHES[search](
            model=model,
            memory=choose_memory(model, memory),
            policy=policy,
            closer=closer,
            motion=motion,
            cuts=policy.heeds_cuts or search == "region",
            fill_hole_area=fill_hole_area,
            max_sprinkle_area=max_sprinkle_area,
            non_overlap_masks=non_overlap_masks,
            binarize_prompted=binarize_prompted,
        )
        self.progress = progress

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
        """A predictor for a checkpoint's name or Hugging Face id, such as "facebook/sam2.1-hiera-tiny".

        kwargs: device, dtype and image_size go to `load_model`, the rest to the predictor.
        """
        model, options = load_pretrained(model_id, kwargs)
        return cls(model, **options)

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return self.model.device

    @property
    def image_size(self) -> int:
        """The side of the model's input, in pixels."""
        return self.model.image_size

    # --- sessions -----------------------------------------------------------------------------------------------------

    def init_state(
        self,
        video_path: VideoLike,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> VideoSession:
        """Open a video: a folder of images, a file, an array or list of frames (see `media.video.open_frames`).

        offload_video_to_cpu: has no effect, frames are never kept on the GPU.
        offload_state_to_cpu: keep memories on the CPU.
        async_loading_frames: decode the next frame on a thread while the current one is tracked.
        """
        frames = open_frames(video_path, progress=self.progress)
        if async_loading_frames:
            frames = Prefetched(frames)
        storage = torch.device("cpu") if offload_state_to_cpu else self.device
        return self.tracker.open(frames, len(frames), storage)

    def save_session(self, inference_state: VideoSession, path: str | Path) -> Path:
        """Write a session to one .safetensors file and return its path; `load_session` goes on with it.

        The video is not in the file. Raises ValueError for a stream, or for an object id that is no number or string;
        OSError where the file cannot be written. The file appears whole or not at all, an older one stays until then.
        """
        return save_session(self.tracker, inference_state, path)

    def load_session(self, path: str | Path, video_path: VideoLike, **options: bool) -> VideoSession:
        """Open a video with the objects, prompts and memories of a saved session.

        options: as for `init_state`. To go on where propagation stopped:
        `propagate_in_video(session, start_frame_idx=session.reached())`, or with reverse=True from
        `session.reached(reverse=True)`. Results are equal to those of an uninterrupted run.

        Raises FileNotFoundError, and ValueError for a file that is damaged, or was saved with other weights, another
        input size, precision, memory, search, option or video.
        """
        opened = self.init_state(video_path, **options)
        return load_session(self.tracker, path, opened.frames, opened.storage)

    def stream(
        self, frames: Iterable | str | int | None = None, max_prompted: int | None = MAX_PROMPTED
    ) -> VideoStream:
        """Open a stream: a session that is fed frame by frame and keeps a constant amount of memory.

        frames: an iterator, a camera's index, a network address, or whatever `init_state` takes; None to `push` them.
        max_prompted: attend to up to this many prompted frames, the latest ones; None keeps and attends to all.
        """
        return VideoStream(self.tracker, frames, max_prompted)

    def reset_state(self, inference_state: VideoSession) -> None:
        """Forget all objects and their prompts; the video stays open."""
        inference_state.objects.clear()

    # --- prompts ------------------------------------------------------------------------------------------------------

    def add_new_points_or_box(
        self,
        inference_state: VideoSession,
        frame_idx: int,
        obj_id: ObjectId,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: ArrayLike | None = None,
    ) -> FrameResult:
        """Prompt an object on a frame with clicks, a box, or both, and return the result for that frame.

        points: (N, 2) as (x, y) in pixels of the video, or in 0..1 with normalize_coords=False; labels: (N,), 1
        include, 0 exclude; box: (4,) as x1, y1, x2, y2. clear_old_points: replace the points already on this frame, or
        add to them. On a frame that tracking has passed this is a correction: the model also recalls its memories.

        Raises TypeError or ValueError, and changes nothing, for prompts that cannot be right.
        """
        frame_idx = inference_state.check_frame(frame_idx)
        prompt = read_points(inference_state, points, labels, box, normalize_coords)
        self.tracker.prompt(inference_state, frame_idx, obj_id, prompt, join=not clear_old_points)
        return self.tracker.result(inference_state, frame_idx)

    add_new_points = add_new_points_or_box

    def add_new_mask(
        self, inference_state: VideoSession, frame_idx: int, obj_id: ObjectId, mask: ArrayLike
    ) -> FrameResult:
        """Prompt an object on a frame with its mask: (H, W), anything but zero is inside.

        Raises ValueError for a mask of another size than the frames (or the square input of the model).
        """
        frame_idx = inference_state.check_frame(frame_idx)
        self.tracker.prompt(inference_state, frame_idx, obj_id, read_mask(inference_state, mask))
        return self.tracker.result(inference_state, frame_idx)

    def add_detections(self, inference_state: VideoSession, frame_idx: int, detections: sv.Detections) -> FrameResult:
        """Prompt an object for each detection of another model on a frame, with its box and its class name.

        detections: supervision.Detections, boxes in pixels of the video. A `tracker_id` is the object's id, so that an
        object can be prompted on several frames; without one it gets the next free number. The class names come out in
        `FrameResult.names` and in every file; `inference_state.objects[1].name = "cat"` gives one by hand.

        Detections with NaN, without an area or outside the frame are left out, with one warning. Raises TypeError for
        another class; ValueError for a tracker id that comes twice, or boxes in 0..1. Nothing is changed then.
        """
        frame_idx = inference_state.check_frame(frame_idx)
        prompt_detections(self.tracker, inference_state, frame_idx, detections)
        return self.tracker.result(inference_state, frame_idx)

    def clear_all_prompts_in_frame(
        self, inference_state: VideoSession, frame_idx: int, obj_id: ObjectId, need_output: bool = True
    ) -> FrameResult | None:
        """Remove the prompts for an object on a frame. Its memory is kept, but counts as tracked from now on."""
        frame_idx = inference_state.check_frame(frame_idx)
        inference_state.track_of(obj_id).clear_prompts(frame_idx)
        return self.tracker.result(inference_state, frame_idx) if need_output else None

    def remove_object(
        self, inference_state: VideoSession, obj_id: ObjectId, strict: bool = False, need_output: bool = True
    ) -> tuple[list[ObjectId], list[tuple[int, Tensor]]]:
        """Forget an object. -> the ids of the others, and (frame, masks) for each frame on which it was prompted

        strict: raise ValueError for an unknown object instead of ignoring it.
        """
        session = inference_state
        if strict:
            session.track_of(obj_id)
        track = session.objects.pop(obj_id, None)
        if track is None or not need_output or not session.objects:
            return session.obj_ids, []
        return session.obj_ids, [(frame, self.tracker.result(session, frame).masks) for frame in sorted(track.prompts)]

    # --- propagation --------------------------------------------------------------------------------------------------

    def propagate_in_video(
        self,
        inference_state: VideoSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[FrameResult]:
        """Track every object through the video: yields one `FrameResult` per frame.

        start_frame_idx: None begins at the earliest prompted frame. max_frame_num_to_track: the number of frames after
        the first. reverse: track backwards in time. Prompts that are added meanwhile count from the next call on;
        leaving early loses nothing.

        Raises RuntimeError without any prompt. A file that ends early is tracked as far as it decodes.
        """
        session = inference_state
        frames = session.frames_to_track(start_frame_idx, max_frame_num_to_track, reverse)
        self.tracker.settle(session)
        for frame in with_bar(frames, "propagate in video", self.progress):
            try:
                self.tracker.track(session, frame, reverse)
            except VideoEndedEarly as end:
                log.warning("%s; tracking stops before frame %d", end, end.index)
                return
            yield self.tracker.result(session, frame)
