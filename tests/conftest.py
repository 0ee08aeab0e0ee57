"""What many tests share. With SAM2NB_STRICT=1 (as in CI) a missing yardstick is a failure, not a skip."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


def _unavailable(reason: str) -> None:
    if os.environ.get("SAM2NB_STRICT") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def genuine_tiny():
    """The genuine SAM 2 hiera-tiny weights (image path) in our model, at 1024."""
    from sam2nb import load_model

    try:
        return load_model("sam2_hiera_tiny", device="cpu")
    except OSError as error:
        _unavailable(f"the genuine tiny weights cannot be had: {error}")


@pytest.fixture(scope="session")
def official():
    """Meta's package, version 1.1.0."""
    try:
        import sam2
    except ImportError:
        _unavailable("the official package is not installed: see CONTRIBUTING.md")
    return sam2


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photograph of a cat, (300, 451, 3) uint8."""
    data = pytest.importorskip("skimage.data")
    return data.chelsea()


@pytest.fixture(scope="session")
def amg(official):
    """The helper functions of the official mask generator."""
    from sam2.utils import amg

    return amg


@pytest.fixture(scope="session")
def random_model():
    """SAM 2 hiera-tiny with random weights, at 128: for shapes, errors and whatever holds for all weights."""
    from sam2nb import build_sam2

    torch.manual_seed(0)
    return build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=128"])


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """An image of random pixels, (90, 140, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def open_records(random_model, noise) -> list[dict]:
    """The records of everything mode on `noise`, 4 x 4 points, with thresholds that drop no mask."""
    from sam2nb import SAM2AutomaticMaskGenerator
    from tests.mask_cases import OPEN

    return SAM2AutomaticMaskGenerator(random_model, points_per_side=4, output_mode="coco_rle", **OPEN).generate(noise)


@pytest.fixture(autouse=True)
def _repeatable():
    torch.manual_seed(0)
    np.random.seed(0)
