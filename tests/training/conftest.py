"""Toy materials: coloured discs and squares over noise, and a model small enough to train in a test."""

import numpy as np
import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.training.data.compose import Materials
from sam2nb.training.data.cutouts import CUTOUT_SIDE, CutOuts
from sam2nb.training.data.teacher import ARRAYS, LabelledPhotos

SIDE = 64


@pytest.fixture(scope="session")
def materials() -> Materials:
    rng = np.random.default_rng(0)
    rgba = np.zeros((6, CUTOUT_SIDE, CUTOUT_SIDE, 4), np.uint8)
    y, x = np.mgrid[:CUTOUT_SIDE, :CUTOUT_SIDE] - CUTOUT_SIDE / 2
    shapes = [x**2 + y**2 < 110**2, (abs(x) < 90) & (abs(y) < 60), (abs(x) + abs(y)) < 110]
    for index, image in enumerate(rgba):
        shape = shapes[index % 3]
        image[shape] = (*rng.integers(120, 256, 3), 255)
    cutouts = CutOuts(rgba, np.full((6, 2), CUTOUT_SIDE, np.int16), np.full(6, 1 / 6), tuple("abcdef"))
    photos = {name: np.zeros((2, *shape), dtype) for name, (shape, dtype) in ARRAYS.items()}
    photos["images"][:] = rng.integers(0, 60, photos["images"].shape, dtype=np.uint8)
    mask = np.zeros((128, 128), bool)
    mask[30:90, 40:100] = True
    photos["masks"][:, 0] = np.packbits(mask)
    photos["counts"][:] = 1
    labels = LabelledPhotos(**photos, names=("one.jpg", "two.jpg"))
    return Materials(cutouts, labels, np.array([0, 1]), np.zeros((0, 8, 8, 3), np.uint8), photo_objects=0.0)


@pytest.fixture
def small_model():
    def build(mode: str = "train"):
        torch.manual_seed(0)
        return build_sam2(
            "sam2nb_nano",
            mode=mode,
            device="cpu",
            hydra_overrides_extra=[
                f"++model.image_size={SIDE}",
                "model.image_encoder.trunk.embed_dim=24",
                "model.image_encoder.trunk.stages=[1,1,1]",
                "model.image_encoder.trunk.global_blocks=[2]",
                "model.image_encoder.neck.widths=[24,48,96]",
            ],
        )

    return build
