"""Helpers for masks and frames, by the names of `sam2.utils.misc`.

Left out: get_sdpa_settings, get_connected_components, AsyncVideoFrameLoader and concat_points, which have no equal
here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sam2nb.devices import pick_device
from sam2nb.masks.measure import mask_boxes
from sam2nb.masks.regions import clean_masks
from sam2nb.media.images import IMAGENET_MEAN, IMAGENET_STD, to_video_input
from sam2nb.media.video import VideoLike, open_frames


def mask_to_box(masks: Tensor) -> Tensor:
    """First and last column and row of each mask: (B, 1, H, W) bool -> (B, 1, 4), zeros for an empty one"""
    return mask_boxes(masks)


def fill_holes_in_mask_scores(mask: Tensor, max_area: float) -> Tensor:
    """Fill holes of up to `max_area` pixels in mask logits, on every device: (N, 1, H, W) -> (N, 1, H, W)"""
    return clean_masks(mask, max_area, 0)


def load_video_frames(
    video_path: VideoLike,
    image_size: int,
    offload_video_to_cpu: bool,
    img_mean: Sequence[float] = IMAGENET_MEAN,
    img_std: Sequence[float] = IMAGENET_STD,
    async_loading_frames: bool = False,
    compute_device: str | torch.device | None = None,
) -> tuple[Tensor, int, int]:
    """All frames of a video as the model reads them: -> (T, 3, S, S) float32, height, width of the video

    video_path: whatever `open_frames` takes. offload_video_to_cpu: keep the frames on the CPU, else on compute_device.
    async_loading_frames has no effect. Raises ValueError for another img_mean or img_std than ImageNet's.
    """
    if tuple(img_mean) != IMAGENET_MEAN or tuple(img_std) != IMAGENET_STD:
        raise ValueError(
            f"img_mean and img_std must be {IMAGENET_MEAN} and {IMAGENET_STD}, got {img_mean} and {img_std}"
        )
    device = torch.device("cpu") if offload_video_to_cpu else pick_device(compute_device)
    frames = open_frames(video_path)
    images = torch.cat([to_video_input(frames[index], image_size, device) for index in range(len(frames))])
    return images, *frames.size_hw


__all__ = ["fill_holes_in_mask_scores", "load_video_frames", "mask_to_box"]
