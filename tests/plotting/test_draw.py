"""Masks painted on images, features as colours, and the arrays that are accepted as images and masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb import plotting

GREY = np.full((60, 80, 3), 128, np.uint8)


def a_mask(y0=10, y1=30, x0=20, x1=50):
    mask = np.zeros((60, 80), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_mask_is_painted_in_its_colour_and_only_there():
    drawn = plotting.draw_masks(GREY, a_mask(), opacity=0.5, outline=0)
    expected = np.array(plotting.color_of(0)) * 0.5 + 64
    assert np.abs(drawn[20, 35].astype(int) - expected).max() <= 1
    assert (drawn[~a_mask()] == 128).all()
    assert (GREY == 128).all(), "the given image must not change"


def test_an_object_keeps_its_colour_whichever_masks_are_shown():
    alone = plotting.draw_masks(GREY, a_mask(), colors=[3], outline=0)
    masks = [a_mask(0, 5, 0, 5), a_mask(40, 50, 60, 70), a_mask(50, 55, 0, 5), a_mask()]
    together = plotting.draw_masks(GREY, masks, outline=0)
    assert (alone[20, 35] == together[20, 35]).all()


def test_a_small_mask_stays_visible_on_a_large_one_in_either_order():
    small, large = a_mask(18, 22, 33, 37), a_mask()
    first = plotting.draw_masks(GREY, [small, large], colors=[0, 1], outline=0)
    second = plotting.draw_masks(GREY, [large, small], colors=[1, 0], outline=0)
    assert (first == second).all()
    assert (first[20, 35] != first[12, 25]).any()


def test_colors_need_one_index_per_mask():
    with pytest.raises(ValueError, match="colors has 2 entries for 1 masks"):
        plotting.draw_masks(GREY, a_mask(), colors=[0, 1])


@pytest.mark.parametrize("shape", [(60, 80), (1, 60, 80), (2, 60, 80), (2, 1, 60, 80)])
def test_masks_of_every_shape_and_type_are_accepted(shape):
    logits = np.full(shape, -3.0, np.float32)
    logits[..., 5:9, 5:9] = 3
    expected = shape[0] if len(shape) > 2 else 1
    for masks in (logits, logits > 0, torch.tensor(logits), torch.tensor(logits, dtype=torch.bfloat16)):
        stack = plotting.as_masks(masks, (60, 80))
        assert stack.shape == (expected, 60, 80) and stack.dtype == bool and stack.sum() == 16 * expected


@pytest.mark.parametrize(
    "image",
    [
        np.full((6, 8), 0.5),
        np.full((6, 8, 1), 128, np.uint8),
        np.full((6, 8, 4), 128, np.uint8),
        np.full((6, 8), 128 * 257, np.uint16),
        torch.full((3, 6, 8), 0.5),
        Image.new("L", (8, 6), 128),
    ],
)
def test_images_of_every_kind_become_rgb_bytes(image):
    rgb = plotting.as_rgb(image)
    assert rgb.shape == (6, 8, 3) and rgb.dtype == np.uint8
    assert abs(int(rgb[0, 0, 0]) - 128) <= 1


def test_pca_colours_do_not_depend_on_the_signs_of_the_decomposition():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(8, 5, 7))
    colors = plotting.pca_colors(features)
    assert colors.shape == (5, 7, 3) and colors.dtype == np.uint8
    assert (colors == plotting.pca_colors(torch.tensor(features)[None])).all()
    assert (colors == plotting.pca_colors(features, reference=features)).all()
    assert colors.std(axis=(0, 1)).min() > 20, "every colour channel varies"


def test_names_are_written_where_objects_are_and_nowhere_else():
    grey = np.full((80, 200, 3), 128, np.uint8)
    written = plotting.draw_names(
        grey, ["cat", None, "dog"], [[10, 10, 90, 70], [5, 5, 9, 9], [0, 0, 0, 0]], colors=[1, 0, 0]
    )
    changed = (written != grey).any(axis=2)
    assert changed.any() and not changed[:, 95:].any() and (grey == 128).all()
    orange = plotting.color_of(1)
    assert (written == orange).all(axis=2).any(), "the background of a name has the colour of its object"
    assert np.array_equal(plotting.draw_names(grey, [], []), grey)


def test_a_dimmed_background_leaves_the_objects_as_they_are():
    drawn = plotting.draw_masks(GREY, a_mask(), dim=True, outline=0)
    assert (drawn[a_mask()] == 128).all()
    assert (drawn[~a_mask()] < 64).all()


def test_specks_get_no_outline_unless_a_mask_is_a_speck():
    image, speck = np.full((300, 400, 3), 128, np.uint8), np.zeros((300, 400), bool)
    speck[250:254, 350:354] = True
    mask = speck.copy()
    mask[20:200, 20:300] = True

    def outlined(masks):
        return (plotting.draw_masks(image, masks, opacity=0.0, outline=1) != 128).any(axis=2)

    assert outlined(mask)[20:200, 20:300].any() and not outlined(mask)[speck].any()
    assert outlined(speck)[speck].any()
