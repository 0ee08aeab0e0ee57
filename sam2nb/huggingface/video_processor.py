"""`Sam2VideoProcessor`: videos and prompts in, inference sessions out, by the names of transformers.

Differs from transformers: a video is whatever `open_frames` reads, and its frames are decoded one by one and resized as
Meta does (transformers resizes another way); points that only pad a batch are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from sam2nb.huggingface.pretrained import PretrainedProcessor
from sam2nb.huggingface.processor import Sam2Inputs, full_size_masks, read_images, scale_prompts
from sam2nb.huggingface.prompts import PADDING
from sam2nb.huggingface.session import Sam2VideoInferenceSession
from sam2nb.media.images import ImageLike, to_video_input
from sam2nb.media.video import VideoLike, open_frames
from sam2nb.predict.video.session import FramePrompt, ObjectId
from sam2nb.structures import BOX_CORNER_LABELS


class Sam2VideoProcessor(PretrainedProcessor):
    """Open inference sessions, add prompts to them, and upsample their masks.

    image_size: side of the model's input in pixels.
    """

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike] | None = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        original_sizes: Any = None,
        return_tensors: str = "pt",
        device: str | torch.device | None = None,
    ) -> Sam2Inputs:
        """Frames of a stream, and prompts in their pixels -> `Sam2Inputs`; the arguments are those of `Sam2Processor`.

        `model(inference_session=session, frame=inputs.pixel_values[0])` tracks onto the frame.
        """
        if return_tensors != "pt":
            raise ValueError(f"return_tensors must be 'pt', got {return_tensors!r}")
        pixels, sizes = read_images(images, original_sizes, self.image_size, to_video_input)
        prompts = scale_prompts(sizes, self.image_size, input_points, input_labels, input_boxes)
        inputs = replace(prompts, pixel_values=pixels)
        return inputs if device is None else inputs.to(device)

    def init_video_session(
        self,
        video: VideoLike | None = None,
        inference_device: str | torch.device = "cpu",
        inference_state_device: str | torch.device | None = None,
        processing_device: str | torch.device | None = None,
        video_storage_device: str | torch.device | None = None,
        max_vision_features_cache_size: int = 1,
        dtype: str | torch.dtype = torch.float32,
    ) -> Sam2VideoInferenceSession:
        """Open a video, or a stream whose frames come one by one.

        video: a list of images, an array (T, H, W, 3), a file or a folder (see `open_frames`); None for a stream.
        inference_state_device: where memories are kept; video_storage_device: where frames of a stream are kept; both
        default to inference_device. processing_device has no effect. See `Sam2VideoInferenceSession` for the others.
        Raises what `open_frames` raises.
        """
        source = None if video is None else open_frames(video, progress=False)
        return Sam2VideoInferenceSession(
            inference_device=inference_device,
            inference_state_device=inference_state_device or inference_device,
            video_storage_device=video_storage_device or inference_device,
            dtype=dtype,
            max_vision_features_cache_size=max_vision_features_cache_size,
            source=source,
            image_size=self.image_size,
        )

    def add_inputs_to_inference_session(
        self,
        inference_session: Sam2VideoInferenceSession,
        frame_idx: int,
        obj_ids: ObjectId | Sequence[ObjectId],
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        input_masks: Any = None,
        original_size: Any = None,
        clear_old_inputs: bool = True,
    ) -> None:
        """Prompt one object or several on a frame; the model sees the prompts when it is called next.

        obj_ids: one id, or a list with one for each object. input_points: [1][object][point][x, y] in pixels of the
        video, with input_labels [1][object][point]; input_boxes: [1][object][x1, y1, x2, y2]; input_masks: one mask for
        each object, (H, W) of any size, without points and boxes. original_size: (height, width), needed for the first
        prompt of a stream. clear_old_inputs: replace the points already on the frame, or add to them.
        Raises ValueError that names the argument, its value and what would be right; nothing is added then.
        """
        ids = list(obj_ids) if isinstance(obj_ids, (list, tuple)) else [obj_ids]
        size_hw = inference_session.frames.size_hw
        if original_size is not None:
            size_hw = tuple(int(side) for side in torch.as_tensor(original_size).flatten())
        if input_masks is None:
            prompts = self._read_points(size_hw, input_points, input_labels, input_boxes)
            if input_boxes is not None and not clear_old_inputs:
                raise ValueError("input_boxes must come before points: give them with clear_old_inputs=True")
        elif input_points is not None or input_boxes is not None:
            raise ValueError("input_masks must be given alone, without input_points and input_boxes")
        else:
            prompts = [self._read_mask(mask) for mask in _as_masks(input_masks)]
        if len(prompts) != len(ids):
            raise ValueError(f"obj_ids names {len(ids)} objects, the prompts are for {len(prompts)}")
        inference_session.frames.size_hw = size_hw
        for obj_id, prompt in zip(ids, prompts, strict=True):
            inference_session.add_prompt(frame_idx, obj_id, prompt, not clear_old_inputs and input_masks is None)

    post_process_masks = staticmethod(full_size_masks)

    def _read_points(self, size_hw: tuple[int, int] | None, points: Any, labels: Any, boxes: Any) -> list[FramePrompt]:
        """Points and boxes of N objects on one frame -> N prompts without padding"""
        if points is None and boxes is None:
            raise ValueError("say where the object is: input_points with input_labels, input_boxes, or input_masks")
        if size_hw is None:
            raise ValueError("original_size is needed for the first prompt of a stream: (height, width) of its frames")
        inputs = scale_prompts(torch.tensor([size_hw]), self.image_size, points, labels, boxes)
        count = (inputs.input_boxes if points is None else inputs.input_points).shape[1]
        return [_prompt_of(inputs, row) for row in range(count)]

    def _read_mask(self, mask: Any) -> FramePrompt:
        """A mask of any size -> a prompt at the size of the model's input"""
        given = torch.as_tensor(mask)
        if given.ndim < 2 or given.numel() != given.shape[-2] * given.shape[-1]:
            raise ValueError(f"input_masks must hold one mask (H, W) for each object, got {tuple(given.shape)}")
        unit = (given != 0).float().reshape(1, 1, *given.shape[-2:])
        if unit.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            unit = F.interpolate(unit, size, mode="bilinear", align_corners=False, antialias=True)
        return FramePrompt(mask=unit >= 0.5)


def _prompt_of(inputs: Sam2Inputs, row: int) -> FramePrompt:
    points, labels = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32)
    if inputs.input_points is not None:
        is_point = inputs.input_labels[0, row] != PADDING
        points, labels = inputs.input_points[0, row, is_point], inputs.input_labels[0, row, is_point].int()
    if inputs.input_boxes is not None:
        points = torch.cat((inputs.input_boxes[0, row].view(2, 2), points))
        labels = torch.cat((torch.tensor(BOX_CORNER_LABELS, dtype=torch.int32), labels))
    if not len(points):
        raise ValueError(f"input_points has no point for object {row}: give it one, or leave it out")
    return FramePrompt(points[None], labels[None])


def _as_masks(masks: Any) -> list[Any]:
    """One mask, or one for each object in a list or along the first axis -> a list"""
    if isinstance(masks, (list, tuple)):
        return list(masks)
    return [masks] if masks.ndim == 2 else list(masks)
