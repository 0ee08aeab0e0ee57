"""Drawn shapes: exact masks, kinds that differ, and batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2nb.training.recipes.shapes import (
    HELD_OUT,
    TRAINED,
    draw_shape,
    outline_of,
    shape_batch,
    shapes,
)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), held_out=st.booleans())
def test_every_image_has_one_visible_shape(seed, held_out):
    image, masks = draw_shape(np.random.default_rng(seed), HELD_OUT if held_out else TRAINED)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8
    assert masks.shape == (1, 96, 96) and masks.sum() >= 60


def test_a_shape_has_one_colour_that_its_surroundings_do_not_have():
    image, masks = draw_shape(np.random.default_rng(5))
    inside, outside = image[masks[-1]], image[~masks.any(0)]
    assert np.abs(inside.mean(0) - outside.mean(0)).max() > 3 * inside.std(0).min()


@pytest.mark.parametrize("kind", [*TRAINED, *HELD_OUT])
def test_every_kind_has_an_outline_within_the_image(kind):
    corners = outline_of(np.random.default_rng(0), kind, side=96)
    assert corners.shape[1] == 2 and corners.min() > -10 and corners.max() < 106


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of disc, square.*got 'blob'"):
        outline_of(np.random.default_rng(0), "blob")


def test_sets_repeat_with_their_seed_and_batches_know_the_image_of_each_object():
    first, again = shapes(2, seed=1), shapes(2, seed=1)
    assert all(np.array_equal(one.image, two.image) for one, two in zip(first, again, strict=True))
    batch = shape_batch(np.random.default_rng(0), 3)
    assert batch.pixels.shape == (3, 3, 96, 96) and batch.truth.shape[1:] == (24, 24)
    assert batch.image_index.tolist() == [0, 1, 2] and len(batch.truth) == 3
