"""Images and prompts to the model, and masks back, by the name of `sam2.utils.transforms`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sam2nb.masks.regions import IMAGE_MARGIN, clean_masks
from sam2nb.media.images import ImageLike, masks_to_image, to_model_input, to_rgb_uint8


class SAM2Transforms:
    """The transforms of the image predictor.

    resolution: side of the model's input in pixels. mask_threshold, max_hole_area, max_sprinkle_area: see
    `SAM2ImagePredictor`.
    """

    def __init__(
        self, resolution: int, mask_threshold: float, max_hole_area: float = 0.0, max_sprinkle_area: float = 0.0
    ) -> None:
        self.resolution, self.mask_threshold = resolution, mask_threshold
        self.max_hole_area, self.max_sprinkle_area = max_hole_area, max_sprinkle_area

    def __call__(self, x: ImageLike) -> Tensor:
        """One image of any kind -> (3, S, S) float32, normalised"""
        return to_model_input(to_rgb_uint8(x), self.resolution)[0]

    def forward_batch(self, img_list: Sequence[ImageLike]) -> Tensor:
        """B images of any kinds -> (B, 3, S, S) float32, normalised"""
        return torch.stack([self(image) for image in img_list])

    def transform_coords(
        self, coords: Tensor, normalize: bool = False, orig_hw: tuple[int, int] | None = None
    ) -> Tensor:
        """Points (..., 2) to pixels of the model's input.

        normalize: they are in pixels of an image of size orig_hw, else in 0..1. Raises ValueError without orig_hw.
        """
        if not normalize:
            return coords * self.resolution
        if orig_hw is None:
            raise ValueError("orig_hw, the (height, width) of the image, is needed with normalize=True")
        height, width = orig_hw
        return coords / torch.tensor([width, height], device=coords.device) * self.resolution

    def transform_boxes(self, boxes: Tensor, normalize: bool = False, orig_hw: tuple[int, int] | None = None) -> Tensor:
        """Boxes (N, 4) to pixels of the model's input, as corners: -> (N, 2, 2); see `transform_coords`."""
        return self.transform_coords(boxes.reshape(-1, 2, 2), normalize, orig_hw)

    def postprocess_masks(self, masks: Tensor, orig_hw: tuple[int, int]) -> Tensor:
        """Clean low-resolution logits and upsample them: (B, M, 4h, 4w) -> (B, M, H, W) float32

        Holes and islands are counted in pixels of the low-resolution masks, as in the official package.
        """
        clean = clean_masks(
            masks.float(), self.max_hole_area, self.max_sprinkle_area, self.mask_threshold, IMAGE_MARGIN
        )
        return masks_to_image(clean, tuple(orig_hw))


__all__ = ["SAM2Transforms"]
