"""`Sam2Processor`: from images and prompts to model inputs, and from model outputs to masks.

Two differences from transformers: any image that `to_rgb_uint8` reads is accepted and resized in floating point, as
Meta does (transformers resizes bytes); and labels are always returned, so that padding is never taken for a click.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.huggingface.pretrained import PretrainedProcessor
from sam2nb.huggingface.prompts import PADDING, check_counts, rectangular
from sam2nb.masks.regions import IMAGE_MARGIN, clean_masks, separate
from sam2nb.media.images import ImageLike, masks_to_image, to_model_input, to_rgb_uint8
from sam2nb.structures import MASK_STRIDE


@dataclass(frozen=True)
class Sam2Inputs:
    """Model inputs for B images with N objects each, up to P points per object.

    `model(**inputs)`, `inputs["original_sizes"]` and `inputs.to("cuda")` work as with transformers.
    pixel_values: (B, 3, S, S). original_sizes: (B, 2) as (height, width).
    input_points: (B, N, P, 2), input_labels: (B, N, P), input_boxes: (B, N, 4), in pixels of the model's input.
    labels: (B, 4h, 4w) int64, segmentation maps at the size of the model's masks.
    """

    original_sizes: Tensor
    pixel_values: Tensor | None = None
    input_points: Tensor | None = None
    input_labels: Tensor | None = None
    input_boxes: Tensor | None = None
    labels: Tensor | None = None

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


def full_size_masks(
    masks: Tensor | Sequence[Tensor],
    original_sizes: Tensor | Sequence[tuple[int, int]],
    mask_threshold: float = 0.0,
    binarize: bool = True,
    max_hole_area: float = 0.0,
    max_sprinkle_area: float = 0.0,
    apply_non_overlapping_constraints: bool = False,
) -> list[Tensor]:
    """Upsample masks to the size of their images: per image (N, M, 4h, 4w) -> (N, M, H, W).

    masks: the model's `pred_masks`. original_sizes: (height, width) of each image.
    mask_threshold: logits above it are inside. binarize: return bool; False returns logits.
    max_hole_area, max_sprinkle_area: holes and islands up to this many image pixels are filled and dropped (only
    with binarize; transformers accepts these two but ignores them).
    apply_non_overlapping_constraints: every pixel belongs to one of the N objects at most.
    Raises ValueError unless there is one size per image.
    """
    sizes = torch.as_tensor(original_sizes).reshape(-1, 2).tolist()
    if len(masks) != len(sizes):
        raise ValueError(f"masks are for {len(masks)} images, original_sizes for {len(sizes)}")
    full = [masks_to_image(logits, tuple(size)) for logits, size in zip(masks, sizes, strict=True)]
    if apply_non_overlapping_constraints:
        full = [separate(logits) for logits in full]
    if not binarize:
        return full
    clean = [clean_masks(x, max_hole_area, max_sprinkle_area, mask_threshold, IMAGE_MARGIN) for x in full]
    return [logits > mask_threshold for logits in clean]


class Sam2Processor(PretrainedProcessor):
    """Turn images and prompts into model inputs, and model outputs into masks.

    image_size: side of the model's input in pixels.
    """

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike] | None = None,
        segmentation_maps: ImageLike | Sequence[ImageLike] | None = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        original_sizes: Any = None,
        return_tensors: str = "pt",
        device: str | torch.device | None = None,
    ) -> Sam2Inputs:
        """Images and prompts in image pixels -> `Sam2Inputs`.

        images: one or a list; without images, give original_sizes, the (height, width) of each.
        segmentation_maps: one for each image, (H, W) integers or a grey image; they become `labels`.
        input_points: [image][object][point][x, y]; objects may have different numbers of points.
        input_labels: [image][object][point], 1 include (the default), 0 exclude.
        input_boxes: [image][object][x1, y1, x2, y2]. All three are nested lists or arrays.
        device: where the pixels go. Raises ValueError that names the argument, its value and what would be right.
        """
        if return_tensors != "pt":
            raise ValueError(f"return_tensors must be 'pt', got {return_tensors!r}")
        pixels, sizes = read_images(images, original_sizes, self.image_size, to_model_input)
        inputs = scale_prompts(sizes, self.image_size, input_points, input_labels, input_boxes)
        labels = _read_maps(segmentation_maps, sizes, self.image_size // MASK_STRIDE)
        inputs = replace(inputs, pixel_values=pixels, labels=labels)
        return inputs if device is None else inputs.to(device)

    post_process_masks = staticmethod(full_size_masks)


def read_images(
    images: Any, original_sizes: Any, image_size: int, to_input: Callable[[np.ndarray, int], Tensor]
) -> tuple[Tensor | None, Tensor]:
    """Read images -> pixels (B, 3, S, S) or None, sizes (B, 2).

    to_input: resizes and normalises one image, (H, W, 3) uint8 -> (1, 3, S, S).
    """
    if images is None:
        if original_sizes is None:
            raise ValueError("give images, or original_sizes for images that were encoded before")
        return None, torch.as_tensor(original_sizes, dtype=torch.int64).reshape(-1, 2)
    arrays = [to_rgb_uint8(image) for image in _as_list(images)]
    if not arrays:
        raise ValueError("images must be an image or a list with at least one image, got an empty list")
    sizes = torch.tensor([rgb.shape[:2] for rgb in arrays])
    return torch.cat([to_input(rgb, image_size) for rgb in arrays]), sizes


def scale_prompts(sizes: Tensor, image_size: int, points: Any, labels: Any, boxes: Any) -> Sam2Inputs:
    """Prompts in pixels of their images -> padded tensors in pixels of the model's input, without images.

    sizes: (B, 2) as (height, width). The others are nested as for `Sam2Processor`.
    """
    points = rectangular(points, 4, "input_points", "[image][object][point][x, y]", width=2)
    labels = rectangular(labels, 3, "input_labels", "[image][object][point]")
    boxes = rectangular(boxes, 3, "input_boxes", "[image][object][x1, y1, x2, y2]", width=4)
    check_counts(points, labels, boxes, len(sizes))
    scale = image_size / sizes.flip(1).double()  # (B, 2) for x and y
    if points is not None:
        is_point = (points != PADDING).any(dim=-1)
        labels = is_point.long() if labels is None else labels.long()
        labels = torch.where(is_point, labels, PADDING)
        points = torch.where(is_point[..., None], (points * scale[:, None, None]).float(), points)
    if boxes is not None:
        boxes = (boxes * scale.repeat(1, 2)[:, None]).float()
    return Sam2Inputs(sizes, None, points, labels, boxes)


def _as_list(images: Any) -> Sequence[Any]:
    return images if isinstance(images, (list, tuple)) else [images]


def _read_maps(maps: Any, sizes: Tensor, side: int) -> Tensor | None:
    """Segmentation maps of any size -> (B, side, side) int64, by the nearest pixel."""
    if maps is None:
        return None
    arrays = [np.asarray(item.cpu() if isinstance(item, Tensor) else item).squeeze() for item in _as_list(maps)]
    if len(arrays) != len(sizes):
        raise ValueError(f"segmentation_maps is for {len(arrays)} images, but there are {len(sizes)}")
    for array in arrays:
        if array.ndim != 2 or array.dtype.kind not in "iub":
            raise ValueError(f"segmentation_maps must be (H, W) integers, got {array.dtype} of shape {array.shape}")
    exact = [torch.from_numpy(array.astype(np.float64))[None, None] for array in arrays]
    return torch.cat([F.interpolate(array, (side, side), mode="nearest-exact") for array in exact])[:, 0].long()
