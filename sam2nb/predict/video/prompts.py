"""What a user says on one frame of a video, checked and put into the model's coordinates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.predict.prompts import ArrayLike, make_prompts
from sam2nb.predict.video.session import FramePrompt

MASK_THRESHOLD = 0.5  # a resized mask is inside from here on, as official


def read_points(
    size_hw: tuple[int, int],
    image_size: int,
    device: torch.device,
    points: ArrayLike | None,
    labels: ArrayLike | None,
    box: ArrayLike | None,
    normalize_coords: bool,
) -> FramePrompt:
    """Clicks and a box about one object: box corners become the first two points."""
    if points is None and labels is None and box is None:
        raise ValueError("say where the object is: points with labels, a box, or both")
    prompts = make_prompts(
        size_hw=size_hw,
        image_size=image_size,
        device=device,
        point_coords=points,
        point_labels=labels,
        box=box,
        normalize_coords=normalize_coords,
    )
    if len(prompts.points) != 1:
        raise ValueError(f"points and box must be about one object, got {len(prompts.points)}: call once per object")
    return FramePrompt(prompts.points, prompts.labels)


def join_points(old: FramePrompt, new: FramePrompt) -> FramePrompt:
    """More clicks on the same frame; an earlier mask prompt gives way."""
    if old.points is None:
        return new
    return FramePrompt(torch.cat((old.points, new.points), dim=1), torch.cat((old.labels, new.labels), dim=1))


def read_mask(mask: ArrayLike, size_hw: tuple[int, int], image_size: int, device: torch.device) -> FramePrompt:
    """(H, W), anything but zero is inside -> a mask of the model's input size"""
    given = mask.detach() if isinstance(mask, Tensor) else torch.as_tensor(mask)
    if given.ndim == 3 and len(given) == 1:
        given = given[0]
    if given.ndim != 2:
        raise ValueError(f"mask must have shape (H, W), got {tuple(given.shape)}")
    if tuple(given.shape) not in (tuple(size_hw), (image_size, image_size)):
        raise ValueError(
            f"mask is {given.shape[1]}x{given.shape[0]} (width x height), the video {size_hw[1]}x{size_hw[0]}: "
            "make it the size of the video's frames"
        )
    inside = (given != 0).float()[None, None].to(device)
    if inside.shape[-1] != image_size or inside.shape[-2] != image_size:
        size = (image_size, image_size)
        inside = F.interpolate(inside, size, mode="bilinear", align_corners=False, antialias=True)
        inside = (inside >= MASK_THRESHOLD).float()
    return FramePrompt(mask=inside)
