"""Encoded images: made by the model, kept on disk, made whole again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sam2nb.media.images import to_model_input
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.packing import TensorTable, Unpacker, pack
from sam2nb.predict.precision import autocast_for
from sam2nb.predict.saving import SavedState, read_state, write_state
from sam2nb.structures import ImageFeatures

IMAGES_AT_ONCE = 4  # on a GPU; a CPU takes one at a time, which is no slower there and needs less memory
KIND = "set of encoded images"  # of a file


@dataclass(frozen=True)
class EncodedImage:
    """One image, ready for prompts.

    features: of a batch of 1.
    conditioned: (1, 256, h, w), the embedding after `recall`, which has no memories to attend to here.
    size_hw: height and width of the image in pixels.
    """

    features: ImageFeatures
    conditioned: Tensor
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class StoredImage:
    """The part of an encoded image that a file holds; the rest follows from it at once. See `ImageFeatures`."""

    embedding: Tensor
    high_res: tuple[Tensor, Tensor]
    size_hw: tuple[int, int]


@torch.no_grad()
def encode_images(model: SAM2, images: list[np.ndarray]) -> list[EncodedImage]:
    """Encode images of any sizes: each (H, W, 3) uint8"""
    step = IMAGES_AT_ONCE if model.device.type == "cuda" else 1
    encoded = []
    for start in range(0, len(images), step):
        batch = images[start : start + step]
        pixels = torch.cat([to_model_input(rgb, model.image_size, model.device) for rgb in batch])
        with autocast_for(model):
            features = model.encode_image(pixels)
            conditioned = model.recall(features)
        for index, rgb in enumerate(batch):
            row = slice(index, index + 1)
            encoded.append(EncodedImage(features.rows(row), conditioned[row], rgb.shape[:2]))
    return encoded


def save_images(path: str | Path, images: list[EncodedImage], model: SAM2) -> Path:
    """Write encoded images to a file; OSError where that fails."""
    table = TensorTable()
    stored = [StoredImage(image.features.embedding, image.features.high_res, image.size_hw) for image in images]
    notes = pack(stored, table)
    return write_state(path, KIND, SavedState(notes, table.tensors), model)


@torch.no_grad()
def load_images(path: str | Path, model: SAM2) -> list[EncodedImage]:
    """Read the images of a file, without encoding them; raises what `read_state` raises."""
    saved = read_state(path, KIND, model)
    images = []
    for stored in Unpacker(saved.tensors, (StoredImage,), model.device)(saved.notes):
        with autocast_for(model):
            features = ImageFeatures(stored.embedding, model.image_position(stored.embedding), stored.high_res)
            images.append(EncodedImage(features, model.recall(features), stored.size_hw))
    return images
