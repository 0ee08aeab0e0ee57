"""Mask files of every kind become label maps."""

import numpy as np
import pytest
from PIL import Image

from sam2nb.evaluation.samples import SampleError, read_labels, read_rgb


def test_soft_grey_masks_become_one_object(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (20, 1))
    Image.fromarray(ramp).save(tmp_path / "soft.png")
    labels = read_labels(tmp_path / "soft.png")
    assert set(np.unique(labels)) == {0, 1} and 0.45 < labels.mean() < 0.55


def test_colours_of_a_mask_are_numbered(tmp_path):
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[:2, :2], colours[2:, 4:] = (200, 0, 0), (0, 0, 200)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    labels = read_labels(tmp_path / "colours.png")
    assert labels.shape == (4, 6) and set(np.unique(labels)) == {0, 1, 2} and labels[0, 4] == 0
    assert labels[0, 0] != labels[3, 5]


def test_a_file_that_is_not_an_image_is_named(tmp_path):
    file = tmp_path / "text.png"
    file.write_text("no image")
    with pytest.raises(SampleError, match=r"text\.png: cannot be read as a mask"):
        read_labels(file)
    with pytest.raises(SampleError, match=r"text\.png: cannot be read as an image"):
        read_rgb(file)
