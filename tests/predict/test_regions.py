"""Regions of a frame: every conversion there and back."""

import numpy as np
import pytest
import torch

from sam2nb.predict.regions import (
    box_on_frame,
    boxes_in_region,
    crop,
    mask_in_region,
    masks_to_frame,
    move_logits,
    on_pixels,
    pixels_of,
)
from sam2nb.structures import NO_OBJECT_LOGIT, WHOLE_FRAME

SIZE_HW = (40, 56)
REGION = (0.25, 0.25, 0.75, 0.75)


def test_the_pixels_of_a_region_are_those_between_its_edges():
    rows, columns = pixels_of(REGION, SIZE_HW)
    assert (rows, columns) == (slice(10, 30), slice(14, 42))
    assert on_pixels((0.26, 0.24, 0.74, 0.76), SIZE_HW) == (15 / 56, 10 / 40, 41 / 56, 30 / 40)


@pytest.mark.parametrize("region", [(0.5, 0.5, 0.5, 0.5), (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.001, 0.001)])
def test_a_region_has_at_least_one_pixel(region):
    rows, columns = pixels_of(region, SIZE_HW)
    assert rows.stop - rows.start == columns.stop - columns.start == 1
    assert rows.stop <= 40 and columns.stop <= 56


def test_a_box_goes_to_the_region_and_back():
    box = (0.3, 0.4, 0.5, 0.6)
    inside = boxes_in_region(torch.tensor([box]), REGION)
    assert inside[0].tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert box_on_frame(tuple(inside[0].tolist()), REGION) == pytest.approx(box)


def test_points_are_converted_like_the_corners_of_boxes():
    assert boxes_in_region(torch.tensor([[[0.25, 0.5], [1.0, 0.0]]]), REGION).tolist() == [[[0, 0.5], [1.5, -0.5]]]


def test_a_crop_holds_the_pixels_of_its_region_and_the_whole_frame_is_not_copied():
    image = np.arange(40 * 56 * 3, dtype=np.uint8).reshape(40, 56, 3)
    assert np.array_equal(crop(image, REGION), image[10:30, 14:42])
    assert crop(image, WHOLE_FRAME) is image


def test_a_given_mask_is_cut_and_resized_and_stays_binary():
    mask = torch.zeros(1, 1, *SIZE_HW, dtype=torch.bool)
    mask[..., :20, :] = True
    whole, part = mask_in_region(mask, WHOLE_FRAME, 64), mask_in_region(mask, REGION, 64)
    assert whole.shape == part.shape == (1, 1, 64, 64)
    assert set(whole.unique().tolist()) == set(part.unique().tolist()) == {0.0, 1.0}
    assert whole.mean() == pytest.approx(0.5, abs=0.02) and part.mean() == pytest.approx(0.5, abs=0.02)
    square = torch.rand(1, 1, 64, 64) > 0.5
    assert torch.equal(mask_in_region(square, WHOLE_FRAME, 64), square.float())


def test_masks_of_a_region_are_absent_elsewhere_on_the_frame():
    frame = masks_to_frame(torch.full((2, 1, 8, 8), 3.0), REGION, SIZE_HW)
    inside = torch.zeros(SIZE_HW, dtype=torch.bool)
    inside[10:30, 14:42] = True
    assert frame.shape == (2, 1, *SIZE_HW)
    assert frame[:, 0, inside].numpy() == pytest.approx(3.0)
    assert (frame[:, 0, ~inside] == NO_OBJECT_LOGIT).all()


def test_logits_move_between_regions_and_back():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    disc = (4 - 20 * (x**2 + y**2))[None, None]
    assert move_logits(disc, REGION, REGION) is disc
    on_frame = move_logits(disc, REGION, WHOLE_FRAME)
    assert (on_frame[..., :7, :] == NO_OBJECT_LOGIT).all()
    assert (on_frame > 0).float().mean() == pytest.approx(float((disc > 0).float().mean()) / 4, abs=0.01)
    back = move_logits(on_frame, WHOLE_FRAME, REGION)
    assert ((back > 0) == (disc > 0)).float().mean() > 0.95
