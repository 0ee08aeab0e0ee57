"""Figures of images, masks, prompts and maps."""

from __future__ import annotations

import numpy as np
import pytest

from sam2nb import plotting

GREY = np.full((60, 80, 3), 128, np.uint8)


def a_mask(y0=10, y1=30, x0=20, x1=50):
    mask = np.zeros((60, 80), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_masks_of_another_size_than_the_image_are_rejected():
    with pytest.raises(ValueError, match=r"\(N, 60, 80\).*\(3, 4\)|\(N, 60, 80\).*\(1, 3, 4\)"):
        plotting.show_masks(GREY, np.zeros((3, 4), bool))


def test_points_need_one_label_each():
    with pytest.raises(ValueError, match="labels has 1 entries for 2 points"):
        plotting.show_masks(GREY, a_mask(), points=[[1, 1], [2, 2]], labels=[1])


def test_side_by_side_repeats_one_image_and_keeps_the_prompts_of_each_panel():
    figure = plotting.side_by_side(
        GREY, ["a", "b"], [a_mask(), None], [[0.5], None], [[[5, 5]], None], [[1], None], [None, [1, 1, 9, 9]]
    )
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    assert texts(figure) == ["0.50"]
    assert len(figure.axes[0].collections) == 2 and len(figure.axes[1].lines) == 2


def test_side_by_side_needs_one_entry_per_panel():
    with pytest.raises(ValueError, match="masks has 1 entries for 2 panels"):
        plotting.side_by_side([GREY, GREY], masks=[a_mask()])


def test_side_by_side_starts_a_new_row_after_the_given_columns():
    figure = plotting.side_by_side([GREY] * 3, columns=2)
    rows, columns = figure.axes[0].get_gridspec().get_geometry()
    assert (rows, columns) == (2, 2) and [len(ax.images) for ax in figure.axes] == [1, 1, 1, 0]


def test_score_labels_stay_inside_the_image():
    corner = np.zeros((60, 80), bool)
    corner[:2, :2] = True
    ax = plotting.show_masks(GREY, corner, scores=[0.123])
    x, y = ax.texts[0].get_position()
    assert 0 < x < 80 and 0 < y < 60


def test_a_map_with_both_signs_is_centred_on_zero():
    ax = plotting.show_map(np.array([[-1.0, 3.0]]))
    assert ax.images[0].get_clim() == (-3.0, 3.0)
    assert plotting.show_map(np.array([[1.0, 3.0]])).images[0].get_clim() == (1.0, 3.0)
    assert plotting.show_map(np.array([[1.0, 3.0]]), limits=(0, 9)).images[0].get_clim() == (0, 9)
    with pytest.raises(ValueError, match="two dimensions"):
        plotting.show_map(np.zeros((2, 3, 4)))


def test_a_map_covers_the_image_under_it():
    ax = plotting.show_map(np.zeros((3, 4)), GREY)
    assert [tuple(image.get_extent()) for image in ax.images] == [(-0.5, 79.5, 59.5, -0.5)] * 2


def test_a_part_is_shown_enlarged_in_a_corner_of_every_panel():
    figure = plotting.side_by_side(GREY, ["one", "two"], zoom=[10, 20, 30, 30])
    for ax in figure.axes:
        (part,) = ax.child_axes
        assert part.get_xlim() == (9.5, 29.5) and part.get_ylim() == (29.5, 19.5)


def test_several_boxes_with_masks_get_the_colours_of_the_masks():
    masks = np.zeros((2, *GREY.shape[:2]), bool)
    masks[0, 5:20, 5:20], masks[1, 30:50, 30:60] = True, True
    boxes = [[5, 5, 20, 20], [30, 30, 60, 50]]
    ax = plotting.show_masks(GREY, masks, boxes=boxes, colors=[2, 3])
    assert [line.get_color() for line in ax.lines[1::2]] == [plotting.PALETTE[2], plotting.PALETTE[3]]
    ax = plotting.show_masks(GREY, masks[0], boxes=boxes[0])
    assert ax.lines[1].get_color() == plotting.BOX_COLOR
