"""`Sam2Processor`: from images and prompts to model inputs, and from model outputs to masks.

Two differences from transformers: any image that `to_rgb_uint8` reads is accepted and resized in floating point, as
Meta does (transformers resizes bytes); and labels are always returned, so that padding is never taken for a click.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2nb.huggingface.config import Sam2Config
from sam2nb.masks.regions import IMAGE_MARGIN, clean_masks
from sam2nb.media.images import ImageLike, masks_to_image, to_model_input, to_rgb_uint8

PADDING = -10  # coordinate and label, as in transformers, of a point that only makes the tensor rectangular


@dataclass(frozen=True)
class Sam2Inputs:
    """Model inputs for B images with N objects each, up to P points per object.

    `model(**inputs)`, `inputs["original_sizes"]` and `inputs.to("cuda")` work as with transformers.
    pixel_values: (B, 3, S, S). original_sizes: (B, 2) as (height, width).
    input_points: (B, N, P, 2), input_labels: (B, N, P), input_boxes: (B, N, 4), in pixels of the model's input.
    """

    original_sizes: Tensor
    pixel_values: Tensor | None = None
    input_points: Tensor | None = None
    input_labels: Tensor | None = None
    input_boxes: Tensor | None = None

    def keys(self) -> list[str]:
        """Names of the inputs that are set."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.keys():
            raise KeyError(f"{name!r} is not among the inputs: {', '.join(self.keys())}")
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def to(self, device: str | torch.device) -> Sam2Inputs:
        """A copy of the inputs on another device."""
        return replace(self, **{name: self[name].to(device) for name in self.keys()})


class Sam2Processor:
    """Turn images and prompts into model inputs, and model outputs into masks.

    image_size: side of the model's input in pixels.
    """

    def __init__(self, image_size: int = 1024) -> None:
        self.image_size = image_size

    @classmethod
    def from_pretrained(cls, name: str) -> Sam2Processor:
        """The processor that goes with a checkpoint: a name, a Hugging Face id, a file or a folder."""
        return cls(Sam2Config.from_pretrained(name).image_size)

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike] | None = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        original_sizes: Any = None,
        return_tensors: str = "pt",
    ) -> Sam2Inputs:
        """Images and prompts in image pixels -> `Sam2Inputs`.

        images: one or a list; without images, give original_sizes, the (height, width) of each.
        input_points: [image][object][point][x, y]; objects may have different numbers of points.
        input_labels: [image][object][point], 1 include (the default), 0 exclude.
        input_boxes: [image][object][x1, y1, x2, y2]. All three are nested lists or arrays.
        Raises ValueError that names the argument, its value and what would be right.
        """
        if return_tensors != "pt":
            raise ValueError(f"return_tensors must be 'pt', got {return_tensors!r}")
        pixel_values, sizes = self._read(images, original_sizes)
        points = _rectangular(input_points, 4, "input_points", "[image][object][point][x, y]", width=2)
        labels = _rectangular(input_labels, 3, "input_labels", "[image][object][point]")
        boxes = _rectangular(input_boxes, 3, "input_boxes", "[image][object][x1, y1, x2, y2]", width=4)
        _check_counts(points, labels, boxes, len(sizes))
        scale = self.image_size / sizes.flip(1).float()  # (B, 2) for x and y
        if points is not None:
            is_point = (points != PADDING).any(dim=-1)
            labels = is_point.long() if labels is None else labels.long()
            labels = torch.where(is_point, labels, PADDING)
            points = torch.where(is_point[..., None], points * scale[:, None, None], points)
        if boxes is not None:
            boxes = boxes * scale.repeat(1, 2)[:, None]
        return Sam2Inputs(sizes, pixel_values, points, labels, boxes)

    def _read(self, images: Any, original_sizes: Any) -> tuple[Tensor | None, Tensor]:
        """Read images -> pixels (B, 3, S, S) or None, sizes (B, 2)."""
        if images is None:
            if original_sizes is None:
                raise ValueError("give images, or original_sizes for images that were encoded before")
            return None, torch.as_tensor(original_sizes, dtype=torch.int64).reshape(-1, 2)
        arrays = [to_rgb_uint8(image) for image in (images if isinstance(images, (list, tuple)) else [images])]
        if not arrays:
            raise ValueError("images must be an image or a list with at least one image, got an empty list")
        sizes = torch.tensor([rgb.shape[:2] for rgb in arrays])
        return torch.cat([to_model_input(rgb, self.image_size) for rgb in arrays]), sizes

    def post_process_masks(
        self,
        masks: Tensor | Sequence[Tensor],
        original_sizes: Tensor | Sequence[tuple[int, int]],
        mask_threshold: float = 0.0,
        binarize: bool = True,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
    ) -> list[Tensor]:
        """Upsample masks to the size of their images: per image (N, M, 4h, 4w) -> (N, M, H, W).

        masks: the model's `pred_masks`. original_sizes: (height, width) of each image.
        mask_threshold: logits above it are inside. binarize: return bool; False returns logits.
        max_hole_area, max_sprinkle_area: holes and islands up to this many image pixels are filled and dropped (only
        with binarize; transformers accepts these two but ignores them).
        Raises ValueError unless there is one size per image.
        """
        sizes = torch.as_tensor(original_sizes).reshape(-1, 2).tolist()
        if len(masks) != len(sizes):
            raise ValueError(f"masks are for {len(masks)} images, original_sizes for {len(sizes)}")
        full = [masks_to_image(logits, tuple(size)) for logits, size in zip(masks, sizes, strict=True)]
        if not binarize:
            return full
        clean = [clean_masks(x, max_hole_area, max_sprinkle_area, mask_threshold, IMAGE_MARGIN) for x in full]
        return [logits > mask_threshold for logits in clean]


def _check_counts(points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, images: int) -> None:
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


def _rectangular(value: Any, depth: int, name: str, form: str, width: int | None = None) -> Tensor | None:
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
