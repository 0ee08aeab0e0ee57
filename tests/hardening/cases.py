"""What the tests of this folder share: sizes, images of every kind, a clip."""

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image

SIDE = 64  # of the model's input
FRAMES = 6
FRAME_HW = (40, 56)

EXTREME_SIZES = [(1, 1), (1, 4096), (4096, 1), (33, 4096), (4096, 33), (2, 3), (3, 2), (4, 4)]
sizes = st.sampled_from(EXTREME_SIZES) | st.tuples(st.integers(1, 90), st.integers(1, 90))


def picture(size_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    """An image of random pixels: (H, W, 3) uint8, black and white among them."""
    rgb = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    rgb[0, 0], rgb[-1, -1] = 0, 255
    return rgb


def clip() -> list[np.ndarray]:
    """A red square that moves right, on a background that stays."""
    frames = [picture(FRAME_HW) // 2 for _ in range(FRAMES)]
    for index, rgb in enumerate(frames):
        rgb[10:30, 8 + index : 28 + index] = (200, 30, 30)
    return frames


def opaque(pixels: np.ndarray) -> np.ndarray:
    return np.full_like(pixels[..., :1], 255)


COLOUR_KINDS = {  # functions of an image, whose result is the same image
    "array": lambda rgb: rgb,
    "with alpha": lambda rgb: np.concatenate((rgb, opaque(rgb)), axis=2),
    "float64": lambda rgb: rgb / 255,
    "float32": lambda rgb: (rgb / 255).astype(np.float32),
    "16 bit": lambda rgb: rgb.astype(np.uint16) << 8 | 0x7F,
    "int64": lambda rgb: rgb.astype(np.int64),
    "big-endian": lambda rgb: (rgb.astype(np.uint16) << 8).astype(">u2"),
    "mirrored twice": lambda rgb: np.ascontiguousarray(rgb[::-1, ::-1])[::-1, ::-1],
    "Fortran order": np.asfortranarray,
    "tensor, channels first": lambda rgb: torch.from_numpy(rgb.transpose(2, 0, 1).copy()),
    "PIL": Image.fromarray,
    "PIL with alpha": lambda rgb: Image.fromarray(rgb).convert("RGBA"),
}
GREY_KINDS = {  # functions of a grey image (H, W)
    "array": lambda grey: grey,
    "one channel": lambda grey: grey[..., None],
    "with alpha": lambda grey: np.dstack((grey, np.full_like(grey, 255))),
    "tensor": torch.from_numpy,
    "tensor with alpha": lambda grey: torch.from_numpy(np.stack((grey, np.full_like(grey, 255)))),
    "PIL": Image.fromarray,
    "PIL with alpha": lambda grey: Image.fromarray(np.dstack((grey, np.full_like(grey, 255))), "LA"),
    "float16": lambda grey: (grey / 255).astype(np.float16),
}
