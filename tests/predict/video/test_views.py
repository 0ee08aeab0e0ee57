"""Views of parts of a frame: sampling, boxes, regions, pasting."""

import pytest
import torch
import torch.nn.functional as F

from sam2nb.predict.video.views import (
    GRID,
    boxes_of,
    centred,
    coverage,
    grown,
    nearby,
    outer_boxes,
    paste,
    regions_to_search,
    view_frame,
    view_region,
)

EVERYWHERE = torch.tensor([0.0, 0, 1, 1])


def test_the_region_of_the_whole_frame_is_the_frame():
    embedding = centred(torch.randn(1, 8, GRID, GRID))
    assert torch.allclose(view_region(embedding, EVERYWHERE), view_frame(embedding).cells, atol=1e-5)


@pytest.mark.parametrize("side", [4, 24, 64])
def test_a_view_has_the_same_cells_for_every_size_of_the_image(side):
    cells = view_frame(centred(torch.randn(1, 8, side, side))).cells
    assert cells.shape == (GRID * GRID, 8)
    assert torch.allclose(cells.norm(dim=1), torch.ones(GRID * GRID), atol=1e-5)


def test_what_a_mask_covers_of_a_region_pastes_back_to_the_mask():
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 40:72, 48:80] = 1
    box = torch.tensor([0.25, 0.25, 0.75, 0.75])
    pasted = paste(coverage(mask[0], box), box[None], 128)
    assert torch.equal(pasted > 0.5, mask > 0.5)
    assert (pasted[..., :30, :] == 0).all()  # outside the region


def test_a_box_ends_after_the_last_pixel_and_an_empty_mask_has_none():
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, 0, 2:4, 1:7] = 1
    assert outer_boxes(masks[:, 0] > 0).tolist() == [[1, 2, 7, 4], [0, 0, 0, 0]]
    assert boxes_of(masks).tolist() == [[1 / 8, 2 / 8, 7 / 8, 4 / 8], [0, 0, 0, 0]]


def test_a_region_has_room_around_its_box_and_stays_in_the_frame():
    large, small, corner, empty = grown(
        torch.tensor([[0.2, 0.2, 0.7, 0.7], [0.5, 0.5, 0.51, 0.51], [0.9, 0.9, 1, 1], [0, 0, 0, 0]])
    )
    assert torch.allclose(large, torch.tensor([0.05, 0.05, 0.85, 0.85]))
    assert torch.allclose(small[2:] - small[:2], torch.tensor([0.2, 0.2]))
    assert corner[2:].tolist() == [1, 1]
    assert empty.tolist() == [0, 0, 1, 1]


def test_the_search_covers_what_was_found_and_where_the_object_was():
    found = torch.zeros(3, GRID, GRID)
    found[:2, 4:8, 4:8] = 1
    last = torch.tensor([[0.5, 0.5, 0.75, 0.75], [0, 0, 0, 0], [0.5, 0.5, 0.75, 0.75]])
    both, only_found, only_last = regions_to_search(found.flatten(1), last)
    assert (both[:2] <= 0.125).all() and (both[2:] >= 0.75).all()
    assert torch.equal(only_found, grown(torch.tensor([[0.125, 0.125, 0.25, 0.25]]))[0])
    assert torch.equal(only_last, grown(last[2:])[0])


def test_cells_within_reach_are_counted_in_sides_of_the_view():
    near = nearby(EVERYWHERE, EVERYWHERE, 1.5 / GRID).unflatten(0, (GRID, GRID)).unflatten(2, (GRID, GRID))
    expected = F.max_pool2d(torch.eye(GRID * GRID).view(-1, 1, GRID, GRID), 3, stride=1, padding=1)[:, 0] > 0
    assert torch.equal(near.flatten(0, 1), expected)
