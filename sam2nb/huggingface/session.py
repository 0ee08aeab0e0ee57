"""`Sam2VideoInferenceSession`: a video, its prompts and its memories, by the names of transformers.

A session holds one `VideoSession`, which the model reads and writes, and the prompts that the model has not seen yet.
Frames of a clip are decoded when they are read; frames that are added one by one are kept, as in transformers
(`SAM2VideoPredictor.stream` keeps a constant amount instead).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sam2nb.media.images import to_video_input
from sam2nb.media.video import FrameSource
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.video.prompts import join_points
from sam2nb.predict.video.session import FramePrompt, ObjectId, VideoSession


class SessionFrames:
    """The frames of a session as the model reads them, at its input's size.

    source: a clip of which frames are decoded when they are read, or None. processed: (3, S, S) by frame number.
    """

    def __init__(self, source: FrameSource | None, image_size: int | None) -> None:
        self.source, self.image_size = source, image_size
        self.processed: dict[int, Tensor] = {}
        self.device = torch.device("cpu")
        self.size_hw: tuple[int, int] | None = None if source is None else tuple(source.size_hw)

    @property
    def frames(self) -> SessionFrames:
        """The frames themselves, where `VideoSession` looks for their size."""
        return self

    def __len__(self) -> int:
        clip = 0 if self.source is None else len(self.source)
        return max([clip, *(index + 1 for index in self.processed)])

    def __contains__(self, index: int) -> bool:
        return index in self.processed or (self.source is not None and 0 <= index < len(self.source))

    def __getitem__(self, index: int) -> Tensor:
        """One frame: (1, 3, S, S) float32, normalised"""
        if index in self.processed:
            return self.processed[index][None].to(self.device, torch.float32)
        if index not in self:
            raise ValueError(f"frame_idx must be one of the {len(self)} frames of this session, got {index}")
        return to_video_input(self.source[index], self.image_size, self.device)


class Sam2VideoInferenceSession:
    """A video and the objects tracked in it. Made by `Sam2VideoProcessor.init_video_session`.

    video: (T, 3, S, S), frames that are resized and normalised already, or None. source: a clip whose frames are
    decoded when they are read (`open_frames`); image_size: the side S they are resized to.
    video_height, video_width: of the original frames, in pixels.
    inference_state_device: where memories are kept. video_storage_device: where processed frames are kept.

    inference_device, dtype and max_vision_features_cache_size are kept but not read: a session runs on the model's
    device, in its precision, and keeps the features of the latest frame.
    """

    def __init__(
        self,
        video: Tensor | None = None,
        video_height: int | None = None,
        video_width: int | None = None,
        inference_device: str | torch.device = "cpu",
        inference_state_device: str | torch.device = "cpu",
        video_storage_device: str | torch.device = "cpu",
        dtype: str | torch.dtype = torch.float32,
        max_vision_features_cache_size: int = 1,
        *,
        source: FrameSource | None = None,
        image_size: int | None = None,
    ) -> None:
        self.inference_device, self.inference_state_device = inference_device, inference_state_device
        self.video_storage_device, self.dtype = video_storage_device, dtype
        self.max_vision_features_cache_size = max_vision_features_cache_size
        self.frames = SessionFrames(source, image_size)
        if video_height is not None and video_width is not None:
            self.frames.size_hw = (int(video_height), int(video_width))
        for frame in () if video is None else video:
            self.add_new_frame(frame)
        self.obj_ids: list[ObjectId] = []
        self.new_prompts: dict[tuple[int, ObjectId], FramePrompt] = {}
        self._state: VideoSession | None = None

    @property
    def num_frames(self) -> int | None:
        """The number of frames so far; None before the first frame of a stream."""
        return len(self.frames) or None

    @property
    def video_height(self) -> int | None:
        """Height of the original frames in pixels; None for a stream before its first prompt."""
        return None if self.frames.size_hw is None else self.frames.size_hw[0]

    @property
    def video_width(self) -> int | None:
        """Width of the original frames in pixels; None for a stream before its first prompt."""
        return None if self.frames.size_hw is None else self.frames.size_hw[1]

    # --- objects ------------------------------------------------------------------------------------------------------

    def obj_id_to_idx(self, obj_id: ObjectId) -> int:
        """The row of an object in every result; an unknown object gets the next one."""
        if obj_id not in self.obj_ids:
            self.obj_ids.append(obj_id)
        return self.obj_ids.index(obj_id)

    def obj_idx_to_id(self, obj_idx: int) -> ObjectId:
        """The object of a row; IndexError where there is none."""
        return self.obj_ids[obj_idx]

    def get_obj_num(self) -> int:
        """The number of objects."""
        return len(self.obj_ids)

    # --- prompts and frames -------------------------------------------------------------------------------------------

    def add_prompt(self, frame_idx: int, obj_id: ObjectId, prompt: FramePrompt, join: bool = False) -> None:
        """Keep a prompt for the model to see. join: add its points to those already on the frame.

        Raises ValueError for a box to join, and for a negative frame.
        """
        if frame_idx < 0 or (self.frames.source is not None and frame_idx not in self.frames):
            raise ValueError(f"frame_idx must be one of the {len(self.frames)} frames of this session, got {frame_idx}")
        if join:
            prompt = join_points(self._prompt_on(frame_idx, obj_id), prompt)
        self.obj_id_to_idx(obj_id)
        self.new_prompts[frame_idx, obj_id] = prompt

    def _prompt_on(self, frame_idx: int, obj_id: ObjectId) -> FramePrompt | None:
        if (frame_idx, obj_id) in self.new_prompts:
            return self.new_prompts[frame_idx, obj_id]
        track = None if self._state is None else self._state.objects.get(obj_id)
        prompt = None if track is None else track.prompts.get(frame_idx)
        return None if prompt is None or prompt.points is None else _on(torch.device("cpu"), prompt)

    def add_new_frame(self, pixel_values: Tensor, frame_idx: int | None = None) -> int:
        """Add a frame of a stream, (3, S, S) or (1, 3, S, S), and return its number.

        Raises ValueError for any other shape, or another size than the frames before.
        """
        pixels = pixel_values[0] if pixel_values.ndim == 4 and len(pixel_values) == 1 else pixel_values
        side = self.frames.image_size or pixels.shape[-1]
        if tuple(pixels.shape) != (3, side, side):
            raise ValueError(
                f"a frame must be (3, {side}, {side}) as the processor returns it in pixel_values, "
                f"got {tuple(pixel_values.shape)}"
            )
        self.frames.image_size = side
        index = len(self.frames) if frame_idx is None else frame_idx
        self.frames.processed[index] = pixels.to(self.video_storage_device)
        return index

    def get_frame(self, frame_idx: int) -> Tensor:
        """One frame as the model reads it: (3, S, S)"""
        return self.frames[frame_idx][0]

    def reset_tracking_data(self) -> None:
        """Forget all objects, their prompts and memories; the video and the features of its latest frame stay."""
        self.obj_ids, self.new_prompts = [], {}
        if self._state is not None:
            self._state.objects.clear()

    def reset_inference_session(self) -> None:
        """Forget everything but the video."""
        self.reset_tracking_data()
        self._state = None

    # --- for the model ------------------------------------------------------------------------------------------------

    def opened(self, model: SAM2, streaming: bool = False) -> VideoSession:
        """The state that the tracker reads and writes, made for a model when it is first asked for.

        streaming: the clip has no known end. Raises ValueError for frames of another size than the model's input.
        """
        if self.frames.image_size not in (None, model.image_size):
            raise ValueError(
                f"the frames of this session have a side of {self.frames.image_size} pixels, the model reads "
                f"{model.image_size}: use the processor of the same checkpoint"
            )
        self.frames.device = model.device
        if self._state is None:
            storage = torch.device(self.inference_state_device)
            self._state = VideoSession(self.frames, None, storage, num_maskmem=model.num_maskmem)
        self._state.num_frames = None if streaming else self.num_frames
        return self._state

    def take_prompts(self, device: torch.device) -> list[tuple[int, ObjectId, FramePrompt]]:
        """The new prompts on frames that are here, on a device; they count as seen from now on."""
        ready = [key for key in self.new_prompts if key[0] in self.frames]
        return [(*key, _on(device, self.new_prompts.pop(key))) for key in ready]


def _on(device: torch.device, prompt: FramePrompt) -> FramePrompt:
    parts: dict[str, Any] = {name: getattr(prompt, name) for name in ("points", "labels", "mask")}
    return replace(prompt, **{name: part.to(device) for name, part in parts.items() if part is not None})
