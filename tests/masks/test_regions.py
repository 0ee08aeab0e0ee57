"""Cleaning small regions of logits and of run lengths, partly against the official package."""

import numpy as np
import pytest
import torch

from sam2nb.masks.regions import clean_masks, clean_rle, fill_small_holes, large_parts
from sam2nb.masks.rle import rle_from_mask
from tests.mask_cases import random_masks, size_of


def logits_with(holes=(), islands=()) -> torch.Tensor:
    """An object of 24 x 16 pixels; holes and islands are squares (y, x, side)."""
    logits = torch.full((1, 1, 32, 32), -5.0)
    logits[..., 4:28, 4:20] = 5.0
    for y, x, side in holes:
        logits[..., y : y + side, x : x + side] = -5.0
    for y, x, side in islands:
        logits[..., y : y + side, x : x + side] = 5.0
    return logits


@pytest.mark.parametrize("mask", random_masks(20), ids=size_of)
@pytest.mark.parametrize("min_area", [1, 7, 60])
def test_cleaned_run_lengths_equal_the_official_masks(mask, min_area, amg):
    filled, had_holes = amg.remove_small_regions(mask, min_area, "holes")
    ours, changed = fill_small_holes(mask, min_area)
    assert np.array_equal(ours, filled) and changed == had_holes
    if not mask.any():
        return
    cleaned, had_islands = amg.remove_small_regions(filled, min_area, "islands")
    ours, changed = clean_rle(rle_from_mask(mask), min_area)
    assert np.array_equal(ours.to_mask(), cleaned) and changed == (had_holes or had_islands)


def test_cleaning_a_small_part_of_a_large_image_does_not_fill_what_surrounds_it():
    mask = np.zeros((500, 700), dtype=bool)
    mask[200:205, 300:305] = True
    mask[202, 302] = False
    cleaned, changed = clean_rle(rle_from_mask(mask), 20)
    assert changed and cleaned.area == 25 and cleaned.box == (300, 200, 304, 204)


def test_small_holes_and_islands_go_and_large_ones_stay():
    logits = logits_with(holes=[(8, 8, 2), (16, 8, 4)], islands=[(2, 25, 2), (10, 24, 4)])
    cleaned = clean_masks(logits, 8, 8)
    assert torch.equal(cleaned > 0, logits_with(holes=[(16, 8, 4)], islands=[(10, 24, 4)]) > 0)
    assert cleaned[0, 0, 8, 8] == pytest.approx(0.1)
    assert clean_masks(logits, 0, 0) is logits


def test_a_hole_of_exactly_the_largest_area_is_filled_and_one_pixel_more_is_not():
    logits = torch.full((1, 1, 20, 20), -5.0)
    logits[..., 2:12, 2:12] = 5
    logits[..., 4:6, 4:6] = -5  # a hole of 4 pixels
    logits[..., 8:11, 8:10] = -5  # and one of 6
    logits[..., 15, 15:18] = 5  # an island of 3
    mask = clean_masks(logits, 4, 3)[0, 0] > 0
    assert mask[4:6, 4:6].all() and not mask[8:11, 8:10].any() and not mask[15].any()


def test_changed_pixels_end_up_a_margin_beyond_the_threshold():
    logits = logits_with(holes=[(8, 8, 2)], islands=[(2, 25, 2)])
    cleaned = clean_masks(logits, 8, 8, threshold=1.5, margin=10.0)
    assert cleaned[0, 0, 8, 8] == 11.5 and cleaned[0, 0, 2, 25] == -8.5
    unchanged = (logits > 1.5) == (cleaned > 1.5)
    assert torch.equal(cleaned[unchanged], logits[unchanged])


def test_a_small_object_is_not_an_island_of_itself():
    logits = torch.full((1, 1, 16, 16), -5.0)
    logits[..., 3:5, 3:5] = 5.0
    assert torch.equal(clean_masks(logits, 0, 50), logits)
    empty = torch.full((1, 1, 16, 16), -5.0)
    assert torch.equal(clean_masks(empty, 8, 50), empty)


def test_small_parts_do_not_count_and_the_mask_itself_stays_as_it_is():
    masks = torch.zeros(1, 16, 16, dtype=torch.bool)
    masks[0, 2:8, 2:8] = masks[0, 12:14, 12:14] = True
    before = masks.clone()
    kept = large_parts(masks, 0.3)
    assert torch.equal(masks, before)
    assert kept[0, 2:8, 2:8].all() and not kept[0, 12:14, 12:14].any()
    assert not large_parts(torch.zeros(1, 8, 8, dtype=torch.bool), 0.3).any()
