"""Validate prompts and convert them to the model's coordinates."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sam2nb.structures import BOX_CORNER_LABELS, EXCLUDE_LABEL, INCLUDE_LABEL, MASK_STRIDE, PADDING_LABEL, Prompts

POINT_LABELS = (PADDING_LABEL, EXCLUDE_LABEL, INCLUDE_LABEL)
FARTHEST = 1000.0  # sides of the image that a coordinate may be away: beyond, half precision overflows
LARGEST_LOGIT = 1e4  # of a mask prompt, for the same reason; predictions end at 32
log = logging.getLogger(__name__)

ArrayLike = np.ndarray | Tensor | Sequence


def make_prompts(
    *,
    size_hw: tuple[int, int],
    image_size: int,
    device: torch.device,
    point_coords: ArrayLike | None = None,
    point_labels: ArrayLike | None = None,
    box: ArrayLike | None = None,
    mask_input: ArrayLike | None = None,
    normalize_coords: bool = True,
) -> Prompts:
    """Validate a user's prompts and join them; the corners of a box become points before the others.

    point_coords: (N, 2) for one object or (B, N, 2), (x, y) in pixels of the image of size_hw, or in 0..1 with
    normalize_coords=False; point_labels: (N,) or (B, N), 1 include, 0 exclude, -1 padding; box: (4,) or (B, 4) as x1,
    y1, x2, y2; mask_input: (1, 4h, 4w) or (B, 1, 4h, 4w), logits of an earlier prediction.

    Raises ValueError that names the argument, its value, and what would be right.
    """
    points, labels = _check_points(point_coords, point_labels)
    points, labels = _join_boxes(points, labels, _check_boxes(box))
    masks = _check_mask(mask_input, image_size // MASK_STRIDE)
    if masks is not None:
        masks = masks.to(device)
    if points is None:
        return Prompts(masks=masks)
    if masks is not None and len(masks) not in (1, len(points)):
        raise ValueError(f"mask_input is for {len(masks)} objects, the other prompts for {len(points)}")
    height, width = size_hw if normalize_coords else (1, 1)
    _check_places(points, labels, (height, width))
    scale = np.array([image_size / width, image_size / height], dtype=np.float64)
    return Prompts(
        points=torch.as_tensor(points * scale, dtype=torch.float32, device=device),
        labels=torch.as_tensor(labels, dtype=torch.int32, device=device),
        masks=None if masks is None else masks.expand(len(points), -1, -1, -1),
    )


def to_numbers(name: str, values: ArrayLike, shape_text: str) -> np.ndarray:
    """Any array, tensor or list of numbers or booleans as float64; ValueError, which has its name, for anything else.

    name: of the argument. shape_text: the shapes that it may have, in words.
    """
    try:
        if isinstance(values, Tensor):
            found = values.detach().to("cpu", torch.float64).numpy()
        elif isinstance(values, (list, tuple)) and any(isinstance(part, Tensor) for part in values):
            found = np.array([to_numbers(name, part, shape_text) for part in values])
        else:
            found = np.asarray(values)
        if found.dtype.kind not in "biuf":
            raise TypeError(f"dtype {found.dtype}")
        found = found.astype(np.float64, copy=False)
    except (TypeError, ValueError, RuntimeError) as error:
        shown = repr(values).split("\n")[0][:80]
        raise ValueError(f"{name} must be numbers of shape {shape_text}, got {shown}") from error
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return found


def check_option(name: str, value: float, least: float | None = None) -> None:
    """Raise ValueError, which has the option's name, unless its value is a finite number, `least` or more."""
    is_number = isinstance(value, numbers.Real) and math.isfinite(value)
    if not is_number or (least is not None and value < least):
        wanted = "a finite number" if least is None else f"a finite number, {least:g} or more"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")


def _check_points(coords: ArrayLike | None, labels: ArrayLike | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """-> (B, N, 2) points, (B, N) labels"""
    if coords is None and labels is None:
        return None, None
    if coords is None or labels is None:
        missing = "point_coords" if coords is None else "point_labels"
        raise ValueError(f"{missing} is missing: every point needs a label, 1 to include and 0 to exclude")
    points = to_numbers("point_coords", coords, "(N, 2) or (B, N, 2)")
    values = to_numbers("point_labels", labels, "(N,) or (B, N)")
    if points.ndim not in (2, 3) or points.shape[-1] != 2 or points.shape[-2] == 0 or points.shape[0] == 0:
        raise ValueError(f"point_coords must have shape (N, 2) or (B, N, 2), got {points.shape}")
    if values.shape != points.shape[:-1]:
        raise ValueError(f"point_labels must have shape {points.shape[:-1]}, one per point, got {values.shape}")
    if not np.isin(values, POINT_LABELS).all():
        raise ValueError(
            f"point_labels must be 1 (include), 0 (exclude) or -1 (padding), got {np.unique(values).tolist()}"
        )
    if points.ndim == 2:
        points, values = points[None], values[None]
    return points, values.astype(np.int32)


def _check_boxes(box: ArrayLike | None) -> np.ndarray | None:
    """-> (B, 2, 2) corners"""
    if box is None:
        return None
    boxes = to_numbers("box", box, "(4,) or (B, 4)")
    if boxes.ndim == 3 and boxes.shape[1] == 1:
        boxes = boxes[:, 0]  # (B, 1, 4), a box per object as some callers keep them
    if boxes.ndim not in (1, 2) or boxes.shape[-1] != 4 or boxes.size == 0:
        raise ValueError(f"box must have shape (4,) or (B, 4) as x1, y1, x2, y2, got {boxes.shape}")
    boxes = boxes.reshape(-1, 4)
    wrong = (boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])
    if wrong.any():
        raise ValueError(f"box must have x1 < x2 and y1 < y2, got {boxes[wrong][0].tolist()}")
    return boxes.reshape(-1, 2, 2)


def _join_boxes(
    points: np.ndarray | None, labels: np.ndarray | None, corners: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Put the two corners of each object's box before its points: -> (B, N, 2) points, (B, N) labels"""
    if corners is None:
        return points, labels
    corner_labels = np.tile(np.array(BOX_CORNER_LABELS, np.int32), (len(corners), 1))
    if points is None:
        return corners, corner_labels
    if len(points) != len(corners):
        raise ValueError(
            f"point_coords are for {len(points)} objects, box for {len(corners)}: give as many boxes as sets of points"
        )
    return np.concatenate((corners, points), axis=1), np.concatenate((corner_labels, labels), axis=1)


def _check_mask(mask_input: ArrayLike | None, side: int) -> Tensor | None:
    """-> (B, 1, side, side)"""
    if mask_input is None:
        return None
    values = to_numbers("mask_input", mask_input, f"(1, {side}, {side}) or (B, 1, {side}, {side})")
    masks = torch.from_numpy(values.astype(np.float32))
    if masks.ndim == 2:
        masks = masks[None]
    if masks.ndim == 3:
        masks = masks[None] if len(masks) == 1 else masks[:, None]
    if masks.ndim != 4 or masks.shape[1:] != (1, side, side):
        raise ValueError(
            f"mask_input must be logits of an earlier prediction, shape (1, {side}, {side}), got {tuple(masks.shape)}; "
            "choose one of several masks with logits[best][None]"
        )
    if np.abs(values).max() > LARGEST_LOGIT:
        raise ValueError(
            f"mask_input must be logits between -{LARGEST_LOGIT:g} and {LARGEST_LOGIT:g}, got {np.abs(values).max():g}"
        )
    return masks


def _check_places(points: np.ndarray, labels: np.ndarray, size_hw: tuple[int, int]) -> None:
    """Raise ValueError for coordinates far from the image; warn about those outside it."""
    height, width = size_hw
    if (np.abs(points) > FARTHEST * np.array([width, height])).any():
        raise ValueError(
            f"point_coords and box must be within {FARTHEST:g} sides of the image of {width}x{height} "
            f"(width x height), got {float(np.abs(points).max()):g}"
        )
    x, y = points[..., 0], points[..., 1]
    outside = ((x < 0) | (y < 0) | (x > width) | (y > height)) & (labels != PADDING_LABEL)
    if outside.any():
        log.warning(
            "coordinates outside the image of %gx%g (width x height): %d, the first is %s; used as given",
            width,
            height,
            int(outside.sum()),
            points[outside][0].tolist(),
        )
