"""Photographs and cut-outs of a recipe, drawn."""

import numpy as np
import pytest
from PIL import Image

from sam2nb.training.data.cutouts import CUTOUT_SIDE


@pytest.fixture
def toy_sources(tmp_path) -> dict[str, str]:
    """Three striped photographs and a round cut-out, under the names by which a recipe finds them."""
    photos, cutouts = tmp_path / "photos", tmp_path / "data" / "cutouts"
    photos.mkdir()
    cutouts.mkdir(parents=True)
    for index in range(3):
        stripes = np.kron(np.random.default_rng(index).integers(0, 255, (6, 8, 3)), np.ones((20, 20, 1)))
        Image.fromarray(stripes.astype(np.uint8)).save(photos / f"{index}.png")
    y, x = np.mgrid[:CUTOUT_SIDE, :CUTOUT_SIDE] - CUTOUT_SIDE / 2
    rgba = np.zeros((2, CUTOUT_SIDE, CUTOUT_SIDE, 4), np.uint8)
    rgba[:, x**2 + y**2 < 100**2] = (220, 80, 30, 255)
    np.save(cutouts / "rgba.npy", rgba)
    np.save(cutouts / "sizes.npy", np.full((2, 2), CUTOUT_SIDE, np.int16))
    np.save(cutouts / "weights.npy", np.full(2, 0.5))
    (cutouts / "names.txt").write_text("a\nb")
    return {"photos": str(photos), "data": str(tmp_path / "data")}
