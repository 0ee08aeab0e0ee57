"""A short clip with a moving square, a small model with random weights, and two clicks."""

import numpy as np
import torch

from sam2nb import build_sam2
from sam2nb.model.sam2 import SAM2
from tests.reference import scramble

SIZE_HW = (40, 56)
COUNT = 8
CLICK = {"points": [[20, 20]], "labels": [1]}
OTHER = {"points": [[40, 10]], "labels": [1]}


def frame(index: int) -> np.ndarray:
    """A red square that moves right by one pixel a frame, on a background that changes every four frames."""
    rng = np.random.default_rng(index // 4)
    rgb = np.repeat(np.repeat(rng.integers(0, 255, (5, 7, 3), dtype=np.uint8), 8, axis=0), 8, axis=1)
    rgb[10:30, 8 + index : 28 + index] = (200, 30, 30)
    return rgb


def small_model() -> SAM2:
    sam2 = build_sam2("sam2.1_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=64"])
    scramble(sam2)
    return sam2


def run(predictor, session, **kwargs) -> dict[int, torch.Tensor]:
    """Propagate and return the masks by frame."""
    return {result.frame_idx: result.masks for result in predictor.propagate_in_video(session, **kwargs)}
