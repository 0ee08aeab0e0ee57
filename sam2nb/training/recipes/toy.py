"""Training without downloads: labelled images, a small model, and drawn cells for notebook 08.

The full data engine (sources, teacher) needs package registries; these need only the committed sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2nb.build import build_sam2
from sam2nb.evaluation.samples import LabelledImage, LabelledImages
from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.compose import Materials
from sam2nb.training.data.cutouts import CutOuts, shrink_to_fit, stack_cutouts
from sam2nb.training.data.teacher import ARRAYS, MASK_SIDE, TEACHER_SIDE, LabelledPhotos

TINY_SIDE = 96  # of the small model's input
MIN_OBJECT_SIDE = 16  # smaller objects make no cut-outs
CELL_HW, CELLS = (256, 256), 6  # of one image
NUCLEUS, MEMBRANE = 0.45, 0.07  # brightness above the background


def materials_of(samples: Sequence[LabelledImage], backgrounds: Sequence[NDArray[np.uint8]]) -> Materials:
    """Make a cut-out of every labelled object, and of every background a photograph without features or masks.

    Raises ValueError without an object of at least 16 pixels or without a background.
    """
    found = [rgba for sample in samples for mask in sample.masks if (rgba := _cut_out(sample.image, mask)) is not None]
    if not found or not len(backgrounds):
        raise ValueError("materials need at least one labelled object and one background")
    sizes = np.array([rgba.shape[:2] for rgba in found], np.int16)
    cutouts = CutOuts(stack_cutouts(found), sizes, np.full(len(found), 1 / len(found)))
    count = len(backgrounds)
    arrays = {name: np.zeros((0, *shape), dtype) for name, (shape, dtype) in ARRAYS.items()}
    arrays["images"] = np.stack([_stretched(image) for image in backgrounds])
    arrays["masks"] = np.zeros((count, 0, MASK_SIDE**2 // 8), np.uint8)
    arrays["counts"] = np.zeros(count, np.int16)
    labels = LabelledPhotos(**arrays, names=tuple(str(index) for index in range(count)))
    return Materials(cutouts, labels, np.arange(count), np.zeros((0, 8, 8, 3), np.uint8), photo_objects=0.0)


def _stretched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).convert("RGB").resize((TEACHER_SIDE, TEACHER_SIDE)))


def _cut_out(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) < MIN_OBJECT_SIDE or len(columns) < MIN_OBJECT_SIDE:
        return None
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return shrink_to_fit(np.dstack([image[part], mask[part].astype(np.uint8) * 255]))


def pocket_model() -> SAM2:
    """A SAM 2 with random weights that a CPU trains within a minute: nano with a narrow trunk, at 96 pixels."""
    changes = {
        "++model.image_size": TINY_SIDE,
        "model.image_encoder.trunk.embed_dim": 24,
        "model.image_encoder.trunk.stages": "[1,1,1]",
        "model.image_encoder.trunk.global_blocks": "[2]",
        "model.image_encoder.neck.widths": "[24,48,96]",
    }
    overrides = [f"{name}={value}" for name, value in changes.items()]
    return build_sam2("sam2nb_nano", mode="train", device="cpu", hydra_overrides_extra=overrides)


def draw_cells(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw an image like a microscope's, of bright nuclei in faint cells; a mask covers the *whole* cell.

    -> image (256, 256, 3) uint8, masks (N, 256, 256) bool that do not overlap, N <= 6
    """
    light = 0.25 + 0.05 * cv2.GaussianBlur(rng.normal(0, 1, CELL_HW), (0, 0), 12) * 12
    taken, masks = np.zeros(CELL_HW, bool), []
    for _ in range(10 * CELLS):
        radius = _distance_from_cell(rng)
        if (taken & (radius < 1.2)).any():
            continue
        masks.append(radius < 1)
        taken |= masks[-1]
        light = light + MEMBRANE * (radius < 1) + NUCLEUS * np.exp(-((radius / 0.35) ** 4))
        if len(masks) == CELLS:
            break
    light = cv2.GaussianBlur(light, (0, 0), 1.2) + rng.normal(0, 0.04, CELL_HW)
    image = np.clip(light[..., None] * (200, 255, 210), 0, 255).astype(np.uint8)
    return image, np.stack(masks)


def _distance_from_cell(rng: np.random.Generator) -> NDArray[np.float64]:
    """Distance of every pixel from the centre of a random, nearly elliptical cell, in units of its radius: (h, w)"""
    height, width = CELL_HW
    y, x = np.mgrid[:height, :width]
    cy, cx, size = *rng.uniform(30, height - 30, 2), rng.uniform(18, 32)
    angle, flatness = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
    u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    v = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / flatness
    return np.hypot(u, v) / (size * (1 + 0.08 * np.sin(3 * np.arctan2(v, u) + angle)))


def cells(count: int, seed: int) -> LabelledImages:
    """`count` images of cells with their masks."""
    drawn = [draw_cells(np.random.default_rng((seed, index))) for index in range(count)]
    samples = {f"cells_{index}": LabelledImage(f"cells_{index}", *pair) for index, pair in enumerate(drawn)}
    return LabelledImages("drawn cells", tuple(samples), samples.__getitem__)
