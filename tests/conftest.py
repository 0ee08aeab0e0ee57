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


@pytest.fixture(autouse=True)
def _repeatable():
    torch.manual_seed(0)
    np.random.seed(0)
