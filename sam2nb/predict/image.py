"""Segment still images by points, boxes and masks (SAM 2, arXiv 2408.00714, section 3, on a single frame).

The calling convention is the official one. Differs from official: takes any image, checks every prompt, holds the model
instead of inheriting from it, and closes holes on every device, counted in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sam2nb.masks.rle import drop_small_islands, fill_small_holes
from sam2nb.media.images import ImageLike, masks_to_image, to_model_input, to_rgb_uint8
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.precision import autocast_for
from sam2nb.predict.pretrained import load_pretrained
from sam2nb.predict.prompts import ArrayLike, make_prompts
from sam2nb.structures import MASK_LOGIT_CLAMP, ImageFeatures, MaskPrediction, Prompts

IMAGES_AT_ONCE = 4  # on a GPU; one by one on a CPU, which is no slower there and lighter


class ImagePrediction(NamedTuple):
    """What `predict` returns; unpacks as `masks, scores, logits`.

    masks: (C, H, W) bool, or float32 logits with return_logits=True; with several objects (B, C, H, W).
    scores: (C,) or (B, C), the model's own estimate of each mask's IoU.
    logits: (C, 4h, 4w) or (B, C, 4h, 4w) float32, clamped to +-32, to be fed back as mask_input.
    """

    masks: np.ndarray
    scores: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class EncodedImage:
    """One picture, ready for prompts."""

    features: ImageFeatures
    conditioned: Tensor  # (1, 256, h, w)
    size_hw: tuple[int, int]


class SAM2ImagePredictor:
    """Encode a picture once, then ask for as many masks as you like.

    model: from `load_model` or `build_sam2`.
    mask_threshold: logits above it are inside.
    max_hole_area, max_sprinkle_area: holes and islands up to this many image pixels are filled and dropped.
    """

    def __init__(
        self, model: SAM2, mask_threshold: float = 0.0, max_hole_area: float = 0.0, max_sprinkle_area: float = 0.0
    ) -> None:
        self.model = model
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self.images: list[EncodedImage] = []

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2ImagePredictor:
        """A predictor for a checkpoint's name or Hugging Face id, such as "facebook/sam2.1-hiera-tiny".

        kwargs: device, dtype and image_size go to `load_model`, the rest to the predictor.
        """
        model, options = load_pretrained(model_id, kwargs)
        return cls(model, **options)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def original_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each picture that is set."""
        return [image.size_hw for image in self.images]

    def set_image(self, image: ImageLike) -> None:
        """Encode one picture; it stays until the next one.

        image: whatever `to_rgb_uint8` takes: arrays, tensors, PIL images, paths.
        Raises TypeError, ValueError or FileNotFoundError; then the picture set before stays.
        """
        self.images = self._encode([to_rgb_uint8(image)])

    def set_image_batch(self, image_list: Sequence[ImageLike]) -> None:
        """Encode several pictures, of any sizes, for `predict_batch`."""
        if isinstance(image_list, (str, bytes)) or not isinstance(image_list, Sequence) or not image_list:
            raise ValueError("image_list must be a list with at least one image")
        self.images = self._encode([to_rgb_uint8(image) for image in image_list])

    @torch.no_grad()
    def _encode(self, pictures: list[np.ndarray]) -> list[EncodedImage]:
        step = IMAGES_AT_ONCE if self.device.type == "cuda" else 1
        encoded = []
        for start in range(0, len(pictures), step):
            batch = pictures[start : start + step]
            pixels = torch.cat([to_model_input(rgb, self.model.image_size, self.device) for rgb in batch])
            with autocast_for(self.model):
                features = self.model.encode_image(pixels)
                conditioned = self.model.recall(features)
            for index, rgb in enumerate(batch):
                row = slice(index, index + 1)
                own = ImageFeatures(
                    features.embedding[row], features.position, tuple(level[row] for level in features.high_res)
                )
                encoded.append(EncodedImage(own, conditioned[row], rgb.shape[:2]))
        return encoded

    def predict(
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> ImagePrediction:
        """Masks for the picture that is set.

        point_coords: (N, 2) as (x, y) in image pixels, or (B, N, 2) for B objects; point_labels: (N,) or (B, N), 1
        include, 0 exclude; box: (4,) or (B, 4) as x1, y1, x2, y2; mask_input: (1, 4h, 4w), logits of an earlier
        answer.
        multimask_output: three masks for an ambiguous prompt, or one.
        return_logits: masks as float logits instead of bool.
        normalize_coords: False if coordinates are already in 0..1.

        Raises RuntimeError before `set_image`, ValueError for prompts that make no sense.
        """
        self._require_images()
        prompts = self._prompts(0, point_coords, point_labels, box, mask_input, normalize_coords)
        return self._finish(self.predict_prompts(prompts, multimask_output), 0, return_logits)

    def predict_batch(
        self,
        point_coords_batch: Sequence[ArrayLike | None] | None = None,
        point_labels_batch: Sequence[ArrayLike | None] | None = None,
        box_batch: Sequence[ArrayLike | None] | None = None,
        mask_input_batch: Sequence[ArrayLike | None] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """As `predict`, for every picture of `set_image_batch`: lists of masks, scores and logits.

        Each argument is a list with one entry (or None) per picture.
        """
        self._require_images()
        batches = {
            "point_coords_batch": point_coords_batch,
            "point_labels_batch": point_labels_batch,
            "box_batch": box_batch,
            "mask_input_batch": mask_input_batch,
        }
        for name, batch in batches.items():
            if batch is not None and len(batch) != len(self.images):
                raise ValueError(f"{name} must have one entry for each of {len(self.images)} images, got {len(batch)}")
        results = []
        for index in range(len(self.images)):
            one = [None if batch is None else batch[index] for batch in batches.values()]
            prompts = self._prompts(index, *one, normalize_coords)
            results.append(self._finish(self.predict_prompts(prompts, multimask_output, index), index, return_logits))
        masks, scores, logits = (list(column) for column in zip(*results, strict=True))
        return masks, scores, logits

    @torch.no_grad()
    def predict_prompts(self, prompts: Prompts, multimask_output: bool = True, index: int = 0) -> MaskPrediction:
        """The model's answer to prompts in its own coordinates: nothing enlarged, float32, on the model's device."""
        self._require_images()
        image = self.images[index]
        with autocast_for(self.model):
            answer = self.model.predict_masks(image.conditioned, image.features.high_res, prompts, multimask_output)
        return MaskPrediction(
            answer.logits.float(), answer.iou.float(), answer.tokens.float(), answer.object_score.float()
        )

    def get_image_embedding(self) -> Tensor:
        """What the decoder sees of the picture that is set: (1, 256, h, w), one sixteenth of the input's side."""
        self._require_images()
        return torch.cat([image.conditioned for image in self.images])

    def reset_predictor(self) -> None:
        """Forget every picture."""
        self.images = []

    def _require_images(self) -> None:
        if not self.images:
            raise RuntimeError("no image is set: call set_image(image) first")

    def _prompts(
        self,
        index: int,
        point_coords: ArrayLike | None,
        point_labels: ArrayLike | None,
        box: ArrayLike | None,
        mask_input: ArrayLike | None,
        normalize_coords: bool,
    ) -> Prompts:
        return make_prompts(
            size_hw=self.images[index].size_hw,
            image_size=self.model.image_size,
            device=self.device,
            point_coords=point_coords,
            point_labels=point_labels,
            box=box,
            mask_input=mask_input,
            normalize_coords=normalize_coords,
        )

    def _finish(self, answer: MaskPrediction, index: int, return_logits: bool) -> ImagePrediction:
        """Masks at the image's size, as arrays; the object axis goes where there is one object."""
        full = masks_to_image(answer.logits, self.images[index].size_hw).cpu().numpy()
        if self.max_hole_area > 0 or self.max_sprinkle_area > 0:
            self._clean(full)
        masks = full if return_logits else full > self.mask_threshold
        low = answer.logits.clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP)
        arrays = (masks, answer.iou.cpu().numpy(), low.cpu().numpy())
        if len(masks) == 1:
            arrays = tuple(array[0] for array in arrays)
        return ImagePrediction(*arrays)

    def _clean(self, full: np.ndarray) -> None:
        """Fill holes and drop islands in place; changed pixels stand 10 beyond the threshold, as in official."""
        for logits in full.reshape(-1, *full.shape[-2:]):
            before = logits > self.mask_threshold
            after, _ = fill_small_holes(before, int(self.max_hole_area) + 1)
            after, _ = drop_small_islands(after, int(self.max_sprinkle_area) + 1)
            logits[after & ~before] = self.mask_threshold + 10.0
            logits[before & ~after] = self.mask_threshold - 10.0
