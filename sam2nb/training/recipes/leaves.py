"""Drawn leaves with a brown spot: the shipped images of notebook 09, for whoever has none of their own."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2nb.evaluation.samples import LabelledImage, LabelledImages

LEAVES_HW, MOST = (256, 256), 3  # of one image
GREEN, RIB, BROWN, YELLOW, SOIL = (86, 140, 58), (150, 190, 110), (92, 58, 34), (190, 170, 70), (120, 98, 80)
PARTLY_HIDDEN = 0.15  # of a leaf under another one: more is drawn elsewhere


def leaves(count: int, seed: int) -> LabelledImages:
    """`count` images of leaves with the masks of the *whole* leaves, spots included."""
    drawn = [draw_leaves(np.random.default_rng((seed, index))) for index in range(count)]
    samples = {f"leaves_{index:02d}": LabelledImage(f"leaves_{index:02d}", *pair) for index, pair in enumerate(drawn)}
    return LabelledImages("drawn leaves", tuple(samples), samples.__getitem__)


def draw_leaves(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one to three leaves on soil.

    -> image (256, 256, 3) uint8, masks (N, 256, 256) bool that do not overlap
    """
    grain = cv2.GaussianBlur(rng.normal(0, 1, LEAVES_HW), (0, 0), 3) * 60 + rng.normal(0, 9, LEAVES_HW)
    image = np.array(SOIL, np.float64) + grain[..., None]
    masks: list[NDArray[np.bool_]] = []
    wanted = int(rng.integers(1, MOST + 1))
    for _ in range(20 * MOST):
        along, across = _leaf_axes(rng)
        inside = np.abs(across) < np.clip(1 - along**2, 0, None) ** 0.9
        if len(masks) == wanted or any((inside & mask).sum() > PARTLY_HIDDEN * mask.sum() for mask in masks):
            continue
        image = _painted(rng, image, inside, along, across)
        masks = [mask & ~inside for mask in masks] + [inside]
    image = cv2.GaussianBlur(image, (0, 0), 0.8) + rng.normal(0, 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), np.stack(masks)


def _leaf_axes(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where every pixel lies on a random leaf: along its length and across its width, both -1 to 1 inside: (h, w) x2"""
    height, width = LEAVES_HW
    y, x = np.mgrid[:height, :width]
    cy, cx = rng.uniform(0.25, 0.75, 2) * LEAVES_HW
    angle, length = rng.uniform(0, np.pi), rng.uniform(55, 85)
    u = ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) / length
    v = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / (length * rng.uniform(0.38, 0.5))
    return u, v - 0.25 * u**2


def _painted(
    rng: np.random.Generator,
    image: NDArray[np.float64],
    inside: NDArray[np.bool_],
    along: NDArray[np.float64],
    across: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The image with one leaf: green, ribs, and a brown spot with a yellow rim near its middle."""
    leaf = np.array(GREEN) * rng.uniform(0.8, 1.2) + 14 * along[..., None]
    ribs = (np.abs(across) < 0.04) | (np.abs(np.sin(9 * (along - 0.6 * np.abs(across)))) < 0.08)
    leaf = np.where(ribs[..., None], 0.6 * leaf + 0.4 * np.array(RIB), leaf)
    spot = np.hypot((along - rng.uniform(-0.1, 0.1)) * 2.2, across) / rng.uniform(0.42, 0.58)
    leaf = np.where((spot < 1.25)[..., None], np.array(YELLOW), leaf)
    leaf = np.where((spot < 1.0)[..., None], np.array(BROWN), leaf)
    return np.where(inside[..., None], leaf, image)
