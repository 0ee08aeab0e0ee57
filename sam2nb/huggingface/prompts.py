"""Prompts of several images: nested lists or arrays as padded tensors, checked against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

PADDING = -10  # coordinate and label, as in transformers, of a point that only makes the tensor rectangular


def check_counts(points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, images: int) -> None:
    """Raise ValueError unless the prompts fit the number of images, and each other."""
    for name, value in {"input_points": points, "input_labels": labels, "input_boxes": boxes}.items():
        if value is not None and len(value) != images:
            raise ValueError(f"{name} is for {len(value)} images, but there are {images}")
    if labels is not None and (points is None or labels.shape != points.shape[:3]):
        given = "no input_points" if points is None else f"input_points of shape {tuple(points.shape)}"
        raise ValueError(f"input_labels has shape {tuple(labels.shape)}, which does not fit {given}")
    if boxes is not None and (boxes == PADDING).all(dim=-1).any():
        raise ValueError("input_boxes must have the same number of boxes for every image")
    if points is not None and boxes is not None and points.shape[1] != boxes.shape[1]:
        raise ValueError(f"input_points is for {points.shape[1]} objects, input_boxes for {boxes.shape[1]}")


def rectangular(value: Any, depth: int, name: str, form: str, width: int | None = None) -> Tensor | None:
    """Nested lists or an array -> float tensor with `depth` axes; shorter lists are padded with PADDING."""
    if value is None:
        return None
    if isinstance(value, (Tensor, np.ndarray)):
        value = torch.as_tensor(value).tolist()
    shape = _shape(value, depth, name, form)
    if width is not None and shape[-1] != width:
        raise ValueError(f"{name} must be {form}, got {shape[-1]} numbers at the innermost level")
    table = np.full(shape, float(PADDING), np.float32)
    _fill(table, value)
    if not np.isfinite(table).all():
        raise ValueError(f"{name} must be finite numbers, got NaN or infinity")
    return torch.from_numpy(table)


def _shape(value: Any, depth: int, name: str, form: str) -> list[int]:
    """The longest length at each level of the nested lists."""
    is_list = isinstance(value, (list, tuple, np.ndarray, Tensor))
    if is_list != (depth > 0) or (is_list and len(value) == 0):
        found = "an empty list" if is_list and depth else f"{'more' if is_list else 'fewer'} levels"
        raise ValueError(f"{name} must be nested as {form}, got {found}")
    if depth == 0:
        return []
    below = [_shape(item, depth - 1, name, form) for item in value]
    return [len(value), *(max(sizes) for sizes in zip(*below, strict=True))]


def _fill(table: np.ndarray, value: Any) -> None:
    if table.ndim == 1:
        table[: len(value)] = [float(number) for number in value]
        return
    for row, item in zip(table, value, strict=False):
        _fill(row, item)
