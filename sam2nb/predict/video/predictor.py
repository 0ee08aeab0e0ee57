"""Track objects through a video (SAM 2, arXiv 2408.00714, section 4).

Say where an object is on any frame, then propagate: each frame is encoded once, every object looks at its own memories,
answers, and the answer becomes a memory. The calling convention is the official one.

Differs from official: holds a model instead of inheriting from it; keeps its state in dataclasses (`VideoSession`);
objects whose memories have one layout run as one batch; a correction on a tracked frame stays a condition; frames
stay uint8 or in their file; holes are filled on every device.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sam2nb.build import build_sam2
from sam2nb.fast.compiled import compile_boxes
from sam2nb.masks.regions import separate
from sam2nb.media.images import masks_to_image
from sam2nb.media.progress import with_bar
from sam2nb.media.video import Prefetched, VideoLike, open_frames
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.model.memory_bank import MemoryChoice
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.pretrained import load_pretrained
from sam2nb.predict.prompts import ArrayLike
from sam2nb.predict.video.prompts import join_points, read_mask, read_points
from sam2nb.predict.video.session import FramePrompt, ObjectId, ObjectTrack, PendingAnswer, VideoSession
from sam2nb.predict.video.stream import MAX_PROMPTED, VideoStream
from sam2nb.predict.video.tracker import VideoSteps
from sam2nb.structures import NO_OBJECT_LOGIT
from sam2nb.weights.checkpoint import require_video_weights

log = logging.getLogger(__name__)

FILL_HOLE_AREA = 8  # official's post-processing, in pixels of the low-resolution mask
OBJECTS_AT_ONCE = 16  # in one batch


class FrameResult(NamedTuple):
    """All objects on one frame; unpacks as `frame_idx, obj_ids, masks`.

    masks: (N, 1, H, W) logits at the video's size, in the order of obj_ids; positive inside.
    """

    frame_idx: int
    obj_ids: list[ObjectId]
    masks: Tensor


class SAM2VideoPredictor:
    """Track objects through videos. One predictor serves any number of sessions.

    model: from `load_model` or `build_sam2`, with all its parts.
    fill_hole_area, max_sprinkle_area: holes and islands of up to so many pixels of the low-resolution mask (a quarter
    of
        the input's side) are filled and dropped.
    non_overlap_masks: every pixel of the output goes to one object at most.
    binarize_prompted: the memory of a prompted frame takes its mask as certain.
    progress: show a bar while propagating.

    Raises ValueError for weights that can only do images.
    """

    def __init__(
        self,
        model: SAM2,
        *,
        fill_hole_area: int = FILL_HOLE_AREA,
        max_sprinkle_area: int = 0,
        non_overlap_masks: bool = False,
        binarize_prompted: bool = True,
        progress: bool = True,
    ) -> None:
        require_video_weights(model)
        self.model = model
        self.fill_hole_area = fill_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self.non_overlap_masks = non_overlap_masks
        self.binarize_prompted = binarize_prompted
        self.progress = progress

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs) -> SAM2VideoPredictor:
        """A predictor by the name or Hugging Face id of its checkpoint; `device`, `dtype` and `image_size` go to
        `load_model`, the rest to the predictor.
        """
        model, options = load_pretrained(model_id, kwargs)
        return cls(model, **options)

    @property
    def steps(self) -> VideoSteps:
        """What one frame takes, with this predictor's options."""
        return VideoSteps(self.model, self.fill_hole_area, self.max_sprinkle_area, self.binarize_prompted)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def image_size(self) -> int:
        """The side of the model's input."""
        return self.model.image_size

    # --- sessions -----------------------------------------------------------------------------------------------------

    def init_state(
        self,
        video_path: VideoLike,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> VideoSession:
        """Begin with a video: a folder of pictures, a file, an array or list of frames (`media.video.open_frames`).

        offload_video_to_cpu: taken for compatibility; frames never wait on the GPU here.
        offload_state_to_cpu: memories wait on the CPU.
        async_loading_frames: the next frame is decoded on a thread while this one is worked on.
        """
        frames = open_frames(video_path, progress=self.progress)
        if async_loading_frames:
            frames = Prefetched(frames)
        return VideoSession(
            frames=frames,
            size_hw=tuple(frames.size_hw),
            num_frames=len(frames),
            storage=torch.device("cpu") if offload_state_to_cpu else self.device,
            num_maskmem=self.model.num_maskmem,
        )

    def stream(
        self, frames: Iterable | str | int | None = None, max_prompted: int | None = MAX_PROMPTED
    ) -> VideoStream:
        """A session that is fed frame by frame and needs constant memory, for hours.

        frames: an iterator, a camera's index, a network address, or whatever `init_state` takes; None to `push` them.
        max_prompted: attend to so many prompted frames, the latest ones; None for all, which then also stay.
        """
        return VideoStream(self, frames, max_prompted)

    def reset_state(self, inference_state: VideoSession) -> None:
        """Forget all objects and prompts; the video stays open."""
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
        """Say where an object is on a frame, by clicks, a box, or a box and clicks.

        points: (N, 2) as (x, y) in pixels of the video, or in 0..1 with normalize_coords=False; labels: (N,), 1
        include, 0 exclude; box: (4,) as x1, y1, x2, y2. clear_old_points: replace what was said on this frame, or add.
        On a frame that tracking has passed this is a correction: the model also sees its memories. Either way its
        latest answer on this frame goes back in with the clicks.

        Raises ValueError and changes nothing where a prompt makes no sense.
        """
        session = inference_state
        self._check_frame(session, frame_idx)
        if box is not None and not clear_old_points:
            raise ValueError("box must come before points: give it with clear_old_points=True, which replaces them")
        new = read_points(session.size_hw, self.image_size, self.device, points, labels, box, normalize_coords)
        track = session.objects.get(obj_id, ObjectTrack())
        old = track.prompts.get(frame_idx)
        prompt = new if clear_old_points or old is None else join_points(old, new)
        answer = self.steps.answer(session, track, frame_idx, prompt)
        return self._accept(session, frame_idx, obj_id, track, prompt, answer)

    add_new_points = add_new_points_or_box

    def add_new_mask(
        self, inference_state: VideoSession, frame_idx: int, obj_id: ObjectId, mask: ArrayLike
    ) -> FrameResult:
        """Say where an object is on a frame, by its mask: (H, W), anything but zero is inside.

        Raises ValueError for a mask of another size than the frames (or the square input of the model).
        """
        session = inference_state
        self._check_frame(session, frame_idx)
        prompt = read_mask(mask, session.size_hw, self.image_size, self.device)
        track = session.objects.get(obj_id, ObjectTrack())
        answer = self.steps.answer(session, track, frame_idx, prompt)
        return self._accept(session, frame_idx, obj_id, track, prompt, answer)

    def clear_all_prompts_in_frame(
        self, inference_state: VideoSession, frame_idx: int, obj_id: ObjectId, need_output: bool = True
    ) -> FrameResult | None:
        """Unsay what was said about an object on a frame; a memory of that frame is kept, no longer as a condition."""
        self._check_frame(inference_state, frame_idx)
        self._track_of(inference_state, obj_id).clear_prompts(frame_idx)
        return self.result_at(inference_state, frame_idx) if need_output else None

    def remove_object(
        self, inference_state: VideoSession, obj_id: ObjectId, strict: bool = False, need_output: bool = True
    ) -> tuple[list[ObjectId], list[tuple[int, Tensor]]]:
        """Forget an object. -> the ids that stay, and (frame, masks) for each frame on which it had been prompted"""
        session = inference_state
        if obj_id not in session.objects:
            if strict:
                self._track_of(session, obj_id)
            return session.obj_ids, []
        frames = sorted(session.objects.pop(obj_id).prompts)
        if not need_output or not session.objects:
            return session.obj_ids, []
        return session.obj_ids, [(frame, self.result_at(session, frame).masks) for frame in frames]

    # --- propagation --------------------------------------------------------------------------------------------------

    def propagate_in_video(
        self,
        inference_state: VideoSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[FrameResult]:
        """Track every object through the video: yields one `FrameResult` per frame.

        start_frame_idx: None begins at the earliest prompted frame. max_frame_num_to_track: so many frames beyond the
        first. reverse: backwards in time. Prompts given before the next call count; leaving early loses nothing.

        Raises RuntimeError without any prompt. A file that ends early is tracked as far as it decodes.
        """
        session = inference_state
        self.settle(session)
        frames = self._frames_to_track(session, start_frame_idx, max_frame_num_to_track, reverse)
        for frame in with_bar(frames, "propagate in video", self.progress):
            try:
                result = self.track_frame(session, frame, reverse)
            except VideoEndedEarly as end:
                log.warning("%s; tracking stops before frame %d", end, end.index)
                return
            yield result

    def settle(self, session: VideoSession) -> None:
        """Turn the answers to prompts into memories, which from now on are conditions for other frames.

        Raises RuntimeError, and changes nothing, if there is no object or one without a prompt.
        """
        if not session.objects:
            raise RuntimeError("nothing to track: say where an object is first (add_new_points_or_box, add_new_mask)")
        for obj_id, track in session.objects.items():
            if not track.pending and not track.bank.prompted:
                raise RuntimeError(f"object {obj_id!r} has no prompt on any frame: add one or remove the object")
        for frame in sorted({frame for track in session.objects.values() for frame in track.pending}):
            for track in session.objects.values():
                if frame in track.pending:
                    track.bank.prompted[frame] = self.steps.memorize_prompt(session, frame, track.pending[frame])
                    track.bank.tracked.pop(frame, None)
                    del track.pending[frame]

    def track_frame(self, session: VideoSession, frame: int, reverse: bool = False) -> FrameResult:
        """One step: every object that has no prompt on this frame looks at its memories and answers."""
        groups: dict[MemoryChoice, list[ObjectTrack]] = {}
        for track in session.objects.values():
            if frame not in track.bank.prompted:
                choice = session.choose(track, frame, reverse)
                groups.setdefault(choice, []).append(track)
        for choice, tracks in groups.items():
            for start in range(0, len(tracks), OBJECTS_AT_ONCE):
                self.steps.track_together(session, frame, choice, tracks[start : start + OBJECTS_AT_ONCE])
        for track in session.objects.values():
            track.directions[frame] = reverse
        return self.result_at(session, frame)

    def _accept(
        self,
        session: VideoSession,
        frame: int,
        obj_id: ObjectId,
        track: ObjectTrack,
        prompt: FramePrompt,
        answer: PendingAnswer,
    ) -> FrameResult:
        track.prompts[frame] = prompt
        track.pending[frame] = answer
        session.objects[obj_id] = track  # only now, so that a failure leaves no half-made object
        return self.result_at(session, frame)

    def result_at(self, session: VideoSession, frame: int) -> FrameResult:
        """All objects on a frame at the video's size; an object without an answer there is nowhere."""
        side = self.image_size // 4
        nowhere = torch.full((1, 1, side, side), NO_OBJECT_LOGIT, device=self.device)
        answers = [track.answer_at(frame) for track in session.objects.values()]
        rows = [nowhere if answer is None else answer.mask_logits.to(self.device) for answer in answers]
        low = torch.cat(rows) if rows else nowhere[:0]
        masks = masks_to_image(low, session.size_hw) if rows else low.new_zeros(0, 1, *session.size_hw)
        return FrameResult(frame, session.obj_ids, separate(masks) if self.non_overlap_masks else masks)

    def _frames_to_track(
        self, session: VideoSession, start: int | None, max_frames: int | None, reverse: bool
    ) -> Sequence[int]:
        last = session.num_frames - 1
        if start is None:
            start = min(frame for track in session.objects.values() for frame in track.bank.prompted)
        self._check_frame(session, start, "start_frame_idx")
        if max_frames is None:
            max_frames = session.num_frames
        if max_frames < 0:
            raise ValueError(f"max_frame_num_to_track must not be negative, got {max_frames}")
        if not reverse:
            return range(start, min(start + max_frames, last) + 1)
        return range(start, max(start - max_frames, 0) - 1, -1) if start > 0 else []

    @staticmethod
    def _check_frame(session: VideoSession, frame: int, name: str = "frame_idx") -> None:
        count = session.num_frames
        if not isinstance(frame, int) and not hasattr(frame, "__index__"):
            raise TypeError(f"{name} must be an integer, got {frame!r}")
        if frame < 0 or (count is not None and frame >= count):
            raise ValueError(f"{name} must be in 0..{count - 1} for this video, got {frame}")

    @staticmethod
    def _track_of(session: VideoSession, obj_id: ObjectId) -> ObjectTrack:
        if obj_id not in session.objects:
            raise ValueError(f"obj_id {obj_id!r} is unknown; this session has {session.obj_ids or 'no objects'}")
        return session.objects[obj_id]


# what official keeps in its configuration and its builder overrides; here they are options of the predictor
PREDICTOR_OPTIONS = {
    "fill_hole_area": ("fill_hole_area", int),
    "non_overlap_masks": ("non_overlap_masks", lambda text: text.lower() == "true"),
    "binarize_mask_from_pts_for_mem_enc": ("binarize_prompted", lambda text: text.lower() == "true"),
}
ALWAYS_SO = ("add_all_frames_to_correct_as_cond=true", "clear_non_cond_mem_around_input=false")


def build_sam2_video_predictor(
    config_file: str | Path,
    ckpt_path: str | Path | None = None,
    device: str | torch.device | None = None,
    mode: str = "eval",
    hydra_overrides_extra: Iterable[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
) -> SAM2VideoPredictor:
    """A model as `build_sam2` makes it, in a video predictor.

    hydra_overrides_extra: also takes official's predictor options, such as "++model.non_overlap_masks=true".
    apply_postprocessing: fill holes, take prompted masks as certain, replace unstable single masks; as official.
    vos_optimized: compile the boxes of the model; the first frames then take minutes.
    """
    options = {
        "fill_hole_area": FILL_HOLE_AREA if apply_postprocessing else 0,
        "binarize_prompted": apply_postprocessing,
    }
    overrides = []
    for override in hydra_overrides_extra:
        name, _, value = override.lstrip("+").removeprefix("model.").partition("=")
        if name in PREDICTOR_OPTIONS:
            option, read = PREDICTOR_OPTIONS[name]
            options[option] = read(value)
        elif f"{name}={value.lower()}" not in ALWAYS_SO:
            overrides.append(override)
    model = build_sam2(config_file, ckpt_path, device, mode, overrides, apply_postprocessing)
    if vos_optimized:
        compile_boxes(model)
    return SAM2VideoPredictor(model, **options)
