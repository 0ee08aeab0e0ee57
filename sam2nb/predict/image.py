"""Segment still images by points, boxes and masks (SAM 2, arXiv 2408.00714, section 3).

The calling convention is the official one. Differs from the official package: takes any kind of image, checks every
prompt, holds the model instead of inheriting from it, and fills holes on every device, counted in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sam2nb.masks.regions import IMAGE_MARGIN, clean_masks
from sam2nb.media.images import ImageLike, masks_to_image, to_rgb_uint8
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.cache import CACHE_BYTES, EmbeddingCache
from sam2nb.predict.closer import as_mask_input, look_closer, looks_closer
from sam2nb.predict.detections import segment_detections
from sam2nb.predict.encoding import EncodedImage, encode_images, load_images, readable, save_images
from sam2nb.predict.precision import computing
from sam2nb.predict.pretrained import load_pretrained
from sam2nb.predict.prompts import ArrayLike, check_option, make_prompts
from sam2nb.structures import MASK_LOGIT_CLAMP, MaskPrediction, Prompts

if TYPE_CHECKING:
    import supervision as sv


class ImagePrediction(NamedTuple):
    """The result of `predict`; unpacks as `masks, scores, logits`.

    masks: (C, H, W) bool, or float32 logits with return_logits=True; (B, C, H, W) for several objects.
    scores: (C,) or (B, C), predicted IoU of each mask.
    logits: (C, 4h, 4w) or (B, C, 4h, 4w) float32, clamped to +-32, usable as the next mask_input.
    """

    masks: np.ndarray
    scores: np.ndarray
    logits: np.ndarray


class SAM2ImagePredictor:
    """Encode an image once, then predict masks for any number of prompts.

    model: from `load_model` or `build_sam2`.
    mask_threshold: pixels with a logit above it belong to the mask.
    max_hole_area, max_sprinkle_area: fill holes and drop islands of up to this many image pixels.
    cache: a folder in which encoded images are kept, so that none is encoded twice (see `EmbeddingCache`).
    cache_size: bytes that the folder may take; the images used longest ago are dropped first.
    closer: what `predict` does unless told otherwise; None for the model's default.

    Raises ValueError for a threshold or an area that is no finite number.
    """

    def __init__(
        self,
        model: SAM2,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        *,
        cache: str | Path | None = None,
        cache_size: int = CACHE_BYTES,
        closer: bool | None = None,
    ) -> None:
        check_option("mask_threshold", mask_threshold)
        check_option("max_hole_area", max_hole_area, least=0)
        check_option("max_sprinkle_area", max_sprinkle_area, least=0)
        self.model = model
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self.cache = None if cache is None else EmbeddingCache(cache, cache_size)
        self.closer = looks_closer(model, closer)
        self.images: list[EncodedImage] = []

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2ImagePredictor:
        """A predictor for a checkpoint's name or Hugging Face id, such as "facebook/sam2.1-hiera-tiny".

        kwargs: device, dtype and image_size are for `load_model`, the others for the constructor.
        """
        model, options = load_pretrained(model_id, kwargs)
        return cls(model, **options)

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return self.model.device

    @property
    def original_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each image that is set."""
        return [image.size_hw for image in self.images]

    def set_image(self, image: ImageLike) -> None:
        """Encode one image; it replaces the one before.

        image: array, tensor, PIL image or path, see `to_rgb_uint8`.
        Raises TypeError, ValueError or FileNotFoundError; the image before then stays set.
        """
        self.images = self._encode([image])

    def set_image_batch(self, image_list: Sequence[ImageLike]) -> None:
        """Encode several images, of any sizes, for `predict_batch`."""
        if isinstance(image_list, (str, bytes)) or not isinstance(image_list, Sequence) or not image_list:
            raise ValueError("image_list must be a list with at least one image")
        self.images = self._encode(image_list)

    def _encode(self, images: Sequence[ImageLike]) -> list[EncodedImage]:
        pixels = [np.array(to_rgb_uint8(image)) for image in images]  # copies: crops of them are encoded later
        return encode_images(self.model, pixels) if self.cache is None else self.cache.encode(self.model, pixels)

    def save(self, path: str | Path) -> Path:
        """Write the encoded images that are set to one .safetensors file, and return its path.

        Raises RuntimeError before `set_image`, OSError where the file cannot be written.
        """
        return save_images(path, self._encoded_images(), self.model)

    def load(self, path: str | Path) -> None:
        """Set the images of a file that `save` wrote, without encoding them; they replace those before.

        Raises FileNotFoundError, or ValueError for a file that is damaged or was saved with other weights, another
        input size or precision; the images before then stay set.
        """
        self.images = load_images(path, self.model)

    def predict(
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
        closer: bool | None = None,
    ) -> ImagePrediction:
        """Masks of the image that is set.

        point_coords: (N, 2) as (x, y) in image pixels, or (B, N, 2) for B objects. point_labels: (N,) or (B, N), 1 to
            include, 0 to exclude.
        box: (4,) or (B, 4) as x1, y1, x2, y2. mask_input: (1, 4h, 4w) or (B, 1, 4h, 4w), logits of an earlier
            prediction.
        multimask_output: three masks for an ambiguous prompt, or one.
        return_logits: float logits instead of bool masks.
        normalize_coords: False if coordinates are already between 0 and 1.
        closer: answer again on a crop around an object that is small in the image, see the module `closer`. None does
            what the predictor was made for, by default the model's choice: only nano looks twice by itself.

        Raises RuntimeError before `set_image`, ValueError for prompts that make no sense.
        """
        size_hw = self._encoded_images()[0].size_hw
        prompts = make_prompts(
            size_hw=size_hw,
            image_size=self.model.image_size,
            device=self.device,
            point_coords=point_coords,
            point_labels=point_labels,
            box=box,
            mask_input=mask_input,
            normalize_coords=normalize_coords,
        )
        return self._answer(prompts, multimask_output, 0, return_logits, closer)

    def predict_detections(self, detections: sv.Detections) -> sv.Detections:
        """The detections of another model on the image that is set, with a mask for each of their boxes.

        detections: supervision.Detections, for example `sv.Detections.from_ultralytics(result)`; boxes in pixels. The
        boxes go through the decoder as one batch (of up to 64; fewer for images above 1.5 megapixels).

        Returns them with `mask` (N, H, W) bool and data["predicted_iou"] (N,) float32; all else is kept, classes,
        confidence and tracker ids too. Boxes are cut off at the edges of the image; detections with NaN, without an
        area or outside the image are left out, with one warning.

        Raises RuntimeError before `set_image`, TypeError for another class, ValueError for boxes in 0..1.
        """
        size_hw = self._encoded_images()[0].size_hw
        return segment_detections(detections, size_hw, lambda boxes: self.predict(box=boxes, multimask_output=False))

    def predict_batch(
        self,
        point_coords_batch: Sequence[ArrayLike | None] | None = None,
        point_labels_batch: Sequence[ArrayLike | None] | None = None,
        box_batch: Sequence[ArrayLike | None] | None = None,
        mask_input_batch: Sequence[ArrayLike | None] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
        closer: bool | None = None,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Masks, scores and logits of every image of `set_image_batch`, as three lists; see `predict`.

        Each argument is a list with one entry (or None) per image.
        """
        images = self._encoded_images()
        batches = {
            "point_coords": point_coords_batch,
            "point_labels": point_labels_batch,
            "box": box_batch,
            "mask_input": mask_input_batch,
        }
        for name, batch in batches.items():
            if batch is not None and len(batch) != len(images):
                raise ValueError(f"{name}_batch must have one entry for each of {len(images)} images, got {len(batch)}")
        results = []
        for index, image in enumerate(images):
            prompts = make_prompts(
                size_hw=image.size_hw,
                image_size=self.model.image_size,
                device=self.device,
                normalize_coords=normalize_coords,
                **{name: None if batch is None else batch[index] for name, batch in batches.items()},
            )
            results.append(self._answer(prompts, multimask_output, index, return_logits, closer))
        masks, scores, logits = (list(column) for column in zip(*results, strict=True))
        return masks, scores, logits

    @torch.no_grad()
    def predict_prompts(self, prompts: Prompts, multimask_output: bool = True, index: int = 0) -> MaskPrediction:
        """Masks for prompts in the model's coordinates: at the decoder's size, float32, on the model's device."""
        image = self._encoded_images()[index]
        with computing(self.model):
            prediction = self.model.predict_masks(image.conditioned, image.features.high_res, prompts, multimask_output)
        return MaskPrediction(
            prediction.logits.float(),
            prediction.iou.float(),
            prediction.tokens.float(),
            prediction.object_score.float(),
        )

    def get_image_embedding(self) -> Tensor:
        """The embeddings that the decoder attends to, of the B images that are set: (B, 256, h, w), stride 16."""
        return torch.cat([image.conditioned for image in self._encoded_images()])

    def reset_predictor(self) -> None:
        """Forget every image."""
        self.images = []

    def _encoded_images(self) -> list[EncodedImage]:
        if not self.images:
            raise RuntimeError("no image is set: call set_image(image) first")
        self.images = [readable(image, self.model) for image in self.images]
        return self.images

    def _answer(
        self, prompts: Prompts, multimask_output: bool, index: int, return_logits: bool, closer: bool | None
    ) -> ImagePrediction:
        """Predict, look closer, clean and threshold the masks; one object has no object axis."""
        looks_twice = self._looks_twice(closer, self.images[index])
        first = self.predict_prompts(prompts, multimask_output, index)
        full = masks_to_image(first.logits, self.images[index].size_hw)
        low, scores = first.logits.clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP), first.iou
        if looks_twice:
            full, low, scores = self._look_closer(prompts, multimask_output, self.images[index], first, full)
        full = clean_masks(full, self.max_hole_area, self.max_sprinkle_area, self.mask_threshold, IMAGE_MARGIN)
        masks = full if return_logits else full > self.mask_threshold
        arrays = [tensor.cpu().numpy() for tensor in (masks, scores, low)]
        if len(masks) == 1:
            arrays = [array[0] for array in arrays]
        return ImagePrediction(*arrays)

    def _looks_twice(self, closer: bool | None, image: EncodedImage) -> bool:
        chosen = self.closer if closer is None else looks_closer(self.model, closer)
        if chosen and closer and image.parts is None:
            raise RuntimeError("closer=True needs the image's pixels, which the loaded file lacks: call set_image")
        return chosen and image.parts is not None

    def _look_closer(
        self, prompts: Prompts, multimask: bool, image: EncodedImage, first: MaskPrediction, full: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Replace the masks that a second look answers better: -> masks at the image's size, low logits, scores"""
        low, scores = first.logits.clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP), first.iou.clone()
        looks = look_closer(self.model, image.parts, prompts, first.logits, first.iou, multimask)
        for row, look in enumerate(looks):
            if look is None or not look.kept.any():
                continue
            pasted = look.on_image(image.size_hw)[look.kept]
            full[row, look.kept], scores[row, look.kept] = pasted, look.iou[look.kept]
            low[row, look.kept] = as_mask_input(pasted, low.shape[-1])
        return full, low, scores
