"""Check prompts for one frame of a video and convert them to the model's coordinates."""

from __future__ import annotations

import torch

from sam2nb.predict.prompts import ArrayLike, make_prompts, to_numbers
from sam2nb.predict.video.session import FramePrompt, VideoSession
from sam2nb.structures import BOX_CORNER_LABELS


def read_points(
    session: VideoSession,
    points: ArrayLike | None,
    labels: ArrayLike | None,
    box: ArrayLike | None,
    normalize_coords: bool,
) -> FramePrompt:
    """Clicks and a box for one object; the corners of the box become the first two points.

    points: (N, 2) as (x, y) in pixels of the video, or in 0..1 with normalize_coords=False; labels: (N,); box: (4,).
    Raises ValueError without any of them, for prompts of several objects, and for those that `make_prompts` refuses.
    """
    if points is None and labels is None and box is None:
        raise ValueError("say where the object is: points with labels, a box, or both")
    prompts = make_prompts(
        size_hw=session.size_hw,
        image_size=session.inputs.image_size,
        device=session.inputs.device,
        point_coords=points,
        point_labels=labels,
        box=box,
        normalize_coords=normalize_coords,
    )
    if len(prompts.points) != 1:
        raise ValueError(f"points and box must be about one object, got {len(prompts.points)}: call once per object")
    return FramePrompt(prompts.points, prompts.labels)


def join_points(old: FramePrompt | None, new: FramePrompt) -> FramePrompt:
    """Append clicks to those already on the frame; they replace a mask.

    Raises ValueError for a box, whose corners must be the first points.
    """
    if (new.labels == BOX_CORNER_LABELS[0]).any():
        raise ValueError("box must come before points: give it with clear_old_points=True, which replaces them")
    if old is None or old.points is None:
        return new
    return FramePrompt(torch.cat((old.points, new.points), dim=1), torch.cat((old.labels, new.labels), dim=1))


def read_mask(session: VideoSession, mask: ArrayLike) -> FramePrompt:
    """A mask for one object.

    mask: (H, W) or (1, H, W) of any dtype, at the video's or the model's size; anything but zero is inside.
    Raises ValueError for another shape or size, and for NaN.
    """
    given = torch.from_numpy(to_numbers("mask", mask, "(H, W)") != 0)
    if given.ndim == 3 and len(given) == 1:
        given = given[0]
    if given.ndim != 2:
        raise ValueError(f"mask must have shape (H, W), got {tuple(given.shape)}")
    (height, width), side = session.size_hw, session.inputs.image_size
    if tuple(given.shape) not in ((height, width), (side, side)):
        raise ValueError(
            f"mask is {given.shape[1]}x{given.shape[0]} (width x height), the video {width}x{height}: "
            "make it the size of the video's frames"
        )
    return FramePrompt(mask=given[None, None].to(session.inputs.device))
