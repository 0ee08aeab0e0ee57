"""Drawn shapes on a cloudy background: a task that a small model learns within minutes on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sam2nb.evaluation.samples import LabelledImage, LabelledImages
from sam2nb.training.data.batches import StillBatch, shrink
from sam2nb.training.data.teacher import to_pixels
from sam2nb.training.recipes.toy import TINY_SIDE

TRAINED, HELD_OUT = ("disc", "square", "triangle"), ("star", "cross", "moon")
SUBPIXELS = 16  # OpenCV draws with corners at sixteenths of a pixel
MIN_CONTRAST = 90  # between the colours of a shape and its background, as a distance in RGB


def draw_shape(
    rng: np.random.Generator, kinds: Sequence[str] = TRAINED, side: int = TINY_SIDE
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one shape, of one of the given kinds, on a cloudy background.

    -> image (side, side, 3) uint8, masks (1, side, side) bool
    """
    ground = rng.uniform(30, 225, 3)
    clouds = cv2.GaussianBlur(rng.normal(0, 1, (side, side, 3)), (0, 0), 6) * 90
    inside = _filled(outline_of(rng, str(rng.choice(kinds)), side), side)
    image = (ground + clouds) * (1 - inside[..., None]) + _contrasting(rng, ground) * inside[..., None]
    image += rng.normal(0, 6, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), inside[None] >= 0.5


def outline_of(rng: np.random.Generator, kind: str, side: int = TINY_SIDE) -> NDArray[np.float64]:
    """The corners of a shape of random place, size and rotation: (N, 2) as (x, y) in pixels

    Raises ValueError for an unknown kind.
    """
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    if kind == "disc":
        corners = np.stack((np.cos(angles), np.sin(angles)), 1)
    elif kind in ("square", "triangle"):
        count = 4 if kind == "square" else 3
        corners = np.stack((np.cos(angles[:: 72 // count]), np.sin(angles[:: 72 // count])), 1)
    elif kind == "star":
        radius = np.where(np.arange(10) % 2, 0.45, 1.1)
        corners = radius[:, None] * np.stack((np.cos(np.arange(10) * np.pi / 5), np.sin(np.arange(10) * np.pi / 5)), 1)
    elif kind == "cross":
        a, b = 0.36, 1.0
        corners = np.array([(a, b), (a, a), (b, a), (b, -a), (a, -a), (a, -b)])
        corners = np.concatenate((corners, -corners))
    elif kind == "moon":
        outer = angles[:37] - np.pi / 2
        inner = outer[::-1]
        corners = np.concatenate(
            (np.stack((np.cos(outer), np.sin(outer)), 1), np.stack((0.35 * np.cos(inner), np.sin(inner)), 1))
        )
    else:
        raise ValueError(f"kind must be one of {', '.join((*TRAINED, *HELD_OUT))}; got {kind!r}")
    turn, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.18, 0.3) * side
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return corners @ rotation.T * size + rng.uniform(0.3 * side, 0.7 * side, 2)


def shapes(count: int, seed: int, kinds: Sequence[str] = TRAINED) -> LabelledImages:
    """`count` images of one shape each, with its mask."""
    drawn = [draw_shape(np.random.default_rng((seed, index)), kinds) for index in range(count)]
    samples = {f"shapes_{index}": LabelledImage(f"shapes_{index}", *pair) for index, pair in enumerate(drawn)}
    return LabelledImages("drawn shapes", tuple(samples), samples.__getitem__)


def shape_batch(rng: np.random.Generator, images: int, kinds: Sequence[str] = TRAINED) -> StillBatch:
    """A batch of newly drawn images with one shape each."""
    drawn = [draw_shape(rng, kinds) for _ in range(images)]
    return StillBatch(
        pixels=to_pixels(np.stack([image for image, _ in drawn])),
        image_index=torch.arange(images),
        truth=shrink(np.concatenate([masks for _, masks in drawn])),
    )


def _filled(corners: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """How much of every pixel is inside: (side, side) in 0..1"""
    canvas = np.zeros((side, side), np.uint8)
    points = np.round((corners - 0.5) * SUBPIXELS).astype(np.int32)
    cv2.fillPoly(canvas, [points], 255, lineType=cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / 255


def _contrasting(rng: np.random.Generator, ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """A random colour that differs from the background."""
    while True:
        color = rng.uniform(0, 255, 3)
        if np.linalg.norm(color - ground) >= MIN_CONTRAST:
            return color
