"""Run lengths; where the official package has the same function, against it."""

import numpy as np
import pytest
import torch

from sam2nb.masks.rle import as_rle, merge_rles, rle_from_mask, uncrop_rle
from tests.mask_cases import random_masks, size_of


@pytest.mark.parametrize("mask", random_masks(), ids=size_of)
def test_run_lengths_equal_the_official_ones_in_both_forms(mask, amg):
    rle = rle_from_mask(mask)
    expected = amg.mask_to_rle_pytorch(torch.from_numpy(mask)[None])[0]
    assert rle.to_dict() == expected
    assert rle.to_coco() == amg.coco_encode_rle(expected)
    assert list(rle.box) == amg.batched_mask_to_box(torch.from_numpy(mask)).tolist()
    assert rle.area == amg.area_from_rle(expected)
    assert np.array_equal(rle.to_mask(), mask)


@pytest.mark.parametrize("mask", random_masks(10), ids=size_of)
def test_every_form_of_a_segmentation_can_be_read(mask):
    rle = rle_from_mask(mask)
    for form in (mask, rle, rle.to_dict(), rle.to_coco()):
        assert np.array_equal(as_rle(form).to_mask(), mask)


def test_the_compressed_form_of_a_large_mask_can_be_read():
    mask = np.zeros((3000, 2000), dtype=bool)
    mask[17:2900, 3:1950:7] = True
    assert np.array_equal(as_rle(rle_from_mask(mask).to_coco()).counts, rle_from_mask(mask).counts)


@pytest.mark.parametrize("wrong", [3, {"counts": [1]}, "abc"])
def test_a_segmentation_of_a_wrong_type_is_refused(wrong):
    with pytest.raises(TypeError, match="segmentation must be"):
        as_rle(wrong)


@pytest.mark.parametrize("counts", [[3, 4], "abc", "", [100]])
def test_damaged_run_lengths_are_refused(counts):
    with pytest.raises(ValueError, match="do not add up to 5 x 6 pixels"):
        as_rle({"size": [5, 6], "counts": counts})


def test_a_mask_of_a_crop_becomes_a_mask_of_the_image():
    for mask in random_masks(10):
        image = np.zeros((mask.shape[0] + 5, mask.shape[1] + 3), dtype=bool)
        image[2 : 2 + mask.shape[0], 1 : 1 + mask.shape[1]] = mask
        assert uncrop_rle(rle_from_mask(mask), (1, 2), image.shape).to_dict() == rle_from_mask(image).to_dict()


@pytest.mark.parametrize("density", [0.0, 0.2, 0.9, 1.0])
def test_merging_gives_the_union(density):
    rng = np.random.default_rng(3)
    masks = rng.random((3, 20, 30)) < density
    merged = merge_rles([rle_from_mask(mask) for mask in masks])
    assert merged.to_dict() == rle_from_mask(masks.any(axis=0)).to_dict()
