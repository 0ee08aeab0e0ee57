"""Encoded images: made by the model, kept on disk, made whole again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam2nb.media.images import to_model_input
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.packing import TensorTable, Unpacker, pack
from sam2nb.predict.precision import computing, in_precision_of, require_predicting
from sam2nb.predict.regions import crop
from sam2nb.predict.saving import SavedState, read_state, write_state
from sam2nb.structures import ImageFeatures, Region

IMAGES_AT_ONCE = 4  # on a GPU; a CPU takes one at a time, which is no slower there and needs less memory
KIND = "set of encoded images"  # of a file
PARTS_KEPT = 16  # of one image, those used last; 16 MB each at 1024 x 1024 in float32


@dataclass(frozen=True)
class EncodedImage:
    """One image, ready for prompts.

    features: of a batch of 1.
    conditioned: (1, 256, h, w), the embedding after `recall`, which has no memories to attend to here.
    size_hw: height and width of the image in pixels.
    rgb: (H, W, 3) uint8, and parts: its regions, encoded when they are needed; None where the pixels are not known.
    """

    features: ImageFeatures
    conditioned: Tensor
    size_hw: tuple[int, int]
    rgb: np.ndarray | None = None
    parts: EncodedParts | None = None


@dataclass
class EncodedParts:
    """Regions of one image, each encoded as if it were the image, and kept for the next prompt there.

    encode: the function that encodes one. size_hw: height and width of the image in pixels.
    """

    encode: Callable[[Region], EncodedImage]
    size_hw: tuple[int, int]
    kept: dict[Region, EncodedImage] = field(default_factory=dict)

    def __getitem__(self, region: Region) -> EncodedImage:
        """A region of the image, encoded now or before."""
        known = self.kept.pop(region, None)
        while known is None and len(self.kept) >= PARTS_KEPT:
            del self.kept[next(iter(self.kept))]  # the one that was used longest ago
        self.kept[region] = known or self.encode(region)
        return self.kept[region]


def readable(image: EncodedImage, model: SAM2) -> EncodedImage:
    """An encoded image in the precision that the model computes in now, see `in_precision_of`."""
    features = in_precision_of(model, image.features)
    if features is image.features:
        return image
    return replace(image, features=features, conditioned=image.conditioned.float())


def with_pixels(image: EncodedImage, model: SAM2, rgb: np.ndarray) -> EncodedImage:
    """An encoded image that can be looked at more closely: rgb (H, W, 3) uint8"""
    return replace(image, rgb=rgb, parts=EncodedParts(partial(encode_part, model, rgb), rgb.shape[:2]))


def encode_part(model: SAM2, rgb: np.ndarray, region: Region) -> EncodedImage:
    """Encode a region of an image (H, W, 3) uint8 as if it were the image."""
    [encoded] = encode_images(model, [crop(rgb, region)])
    return encoded


@dataclass(frozen=True)
class StoredImage:
    """The part of an encoded image that a file holds; the rest follows from it at once. See `ImageFeatures`."""

    embedding: Tensor
    high_res: tuple[Tensor, Tensor]
    size_hw: tuple[int, int]
    rgb: Tensor | None = None


@torch.no_grad()
def encode_images(model: SAM2, images: list[np.ndarray]) -> list[EncodedImage]:
    """Encode images of any sizes: each (H, W, 3) uint8"""
    require_predicting(model)
    step = IMAGES_AT_ONCE if model.device.type == "cuda" else 1
    encoded = []
    for start in range(0, len(images), step):
        batch = images[start : start + step]
        pixels = torch.cat([to_model_input(rgb, model.image_size, model.device) for rgb in batch])
        with computing(model):
            features = model.encode_image(pixels)
            conditioned = model.recall(features)
        for index, rgb in enumerate(batch):
            row = slice(index, index + 1)
            image = EncodedImage(features.rows(row), conditioned[row], rgb.shape[:2])
            encoded.append(with_pixels(image, model, rgb))
    return encoded


def save_images(path: str | Path, images: list[EncodedImage], model: SAM2, pixels: bool = True) -> Path:
    """Write encoded images to a file, with or without their pixels; OSError where that fails."""
    table = TensorTable()
    stored = []
    for image in images:
        rgb = None if image.rgb is None or not pixels else torch.tensor(image.rgb)
        stored.append(StoredImage(image.features.embedding, image.features.high_res, image.size_hw, rgb))
    notes = pack(stored, table)
    return write_state(path, KIND, SavedState(notes, table.tensors), model)


@torch.no_grad()
def load_images(path: str | Path, model: SAM2) -> list[EncodedImage]:
    """Read the images of a file, without encoding them; raises what `read_state` raises."""
    saved = read_state(path, KIND, model)
    images = []
    for stored in Unpacker(saved.tensors, (StoredImage,), model.device)(saved.notes):
        with computing(model):
            features = ImageFeatures(stored.embedding, model.image_position(stored.embedding), stored.high_res)
            image = EncodedImage(features, model.recall(features), stored.size_hw)
        images.append(image if stored.rgb is None else with_pixels(image, model, stored.rgb.cpu().numpy()))
    return images
