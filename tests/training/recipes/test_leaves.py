"""The drawn leaves of notebook 09."""

from __future__ import annotations

import numpy as np

from sam2nb.training.recipes.leaves import MOST, leaves


def test_leaves_do_not_overlap_and_repeat_with_their_seed():
    for one, two in zip(leaves(6, seed=3), leaves(6, seed=3), strict=True):
        assert np.array_equal(one.image, two.image)
        assert 1 <= len(one.masks) <= MOST and one.masks.sum(0).max() == 1
        assert one.masks.any((1, 2)).all()


def test_a_spot_is_part_of_its_leaf():
    sample = leaves(1, seed=0).load("leaves_00")
    brown = (np.abs(sample.image.astype(int) - (92, 58, 34)).sum(2) < 40) & sample.masks.any(0)
    assert brown.sum() > 100
    assert not np.array_equal(sample.image, leaves(1, seed=1).load("leaves_00").image)
