"""Point grids, crops and tiles; where the official package has the same function, against it."""

import numpy as np
import pytest
import torch

from sam2nb.predict.everything.crops import crop_layers, is_cut_off, point_grids, tile_crops


def test_point_grids_equal_the_official_ones(amg):
    ours, official = point_grids(9, 2, 2), amg.build_all_layer_point_grids(9, 2, 2)
    assert all(np.array_equal(one, other) for one, other in zip(ours, official, strict=True))


@pytest.mark.parametrize("size_hw", [(480, 640), (97, 31), (1500, 1000)])
def test_crops_equal_the_official_ones(size_hw, amg):
    ours = crop_layers(size_hw, 2, 0.34)
    boxes, layers = amg.generate_crop_boxes(size_hw, 2, 0.34)
    assert [list(crop.box) for crop in ours] == boxes and [crop.layer for crop in ours] == layers


def test_crops_without_a_pixel_are_left_out():
    assert all(min(crop.size_hw) > 0 for crop in crop_layers((1, 3), 2, 0.34))


@pytest.mark.parametrize("size_hw", [(1000, 2300), (512, 512), (513, 1025), (100, 90)])
def test_tiles_cover_the_image_and_overlap(size_hw):
    tiles = tile_crops(size_hw, 512, 0.25)
    seen = np.zeros(size_hw, dtype=int)
    for tile in tiles:
        x0, y0, x1, y1 = tile.box
        assert max(tile.size_hw) <= 512 and x1 <= size_hw[1] and y1 <= size_hw[0]
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1
    lefts = sorted({tile.box[0] for tile in tiles})
    assert all(right - left <= 0.75 * 512 for left, right in zip(lefts, lefts[1:], strict=False))


def test_an_image_that_fits_into_one_tile_is_one_tile():
    (tile,) = tile_crops((100, 90), 512, 0.25)
    assert tile.box == (0, 0, 90, 100)


def test_boxes_near_a_crop_edge_equal_the_official_ones(amg):
    crop, size_hw = (100, 50, 400, 350), (600, 400)
    boxes = torch.tensor(
        [[0, 10, 50, 60], [60, 25, 299, 90], [150, 20, 200, 100], [30, 30, 279, 280], [90, 90, 95, 95]]
    )
    in_image = boxes + torch.tensor([100, 50, 100, 50])
    expected = amg.is_box_near_crop_edge(boxes, list(crop), [0, 0, size_hw[1], size_hw[0]])
    assert torch.equal(is_cut_off(in_image, torch.tensor([crop]), size_hw), expected)
    assert expected.any() and not expected.all()
