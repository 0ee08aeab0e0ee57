"""Colours that keep masks apart from the image and from their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2nb import plotting
from sam2nb.plotting.colors import colors_of_labels


def grid_of_masks(rows: int, columns: int, gap: int = 0) -> np.ndarray:
    masks = np.zeros((rows * columns, 10 * rows, 10 * columns), bool)
    for number in range(rows * columns):
        y, x = 10 * (number // columns), 10 * (number % columns)
        masks[number, y : y + 10 - gap, x : x + 10 - gap] = True
    return masks


@pytest.mark.parametrize("gap", [0, 4])
def test_neighbours_never_share_a_colour_with_or_without_a_gap(gap):
    colors = np.array(plotting.choose_colors(np.full((40, 60), 128, np.uint8), grid_of_masks(4, 6, gap))).reshape(4, 6)
    assert (colors[1:] != colors[:-1]).all() and (colors[:, 1:] != colors[:, :-1]).all()


@settings(max_examples=30, deadline=None)
@given(seeds=st.lists(st.tuples(st.integers(0, 47), st.integers(0, 63)), min_size=2, max_size=40, unique=True))
def test_regions_of_any_map_differ_from_those_they_touch(seeds):
    ys, xs = np.mgrid[:48, :64]
    distances = np.stack([(ys - y) ** 2 + (xs - x) ** 2 for y, x in seeds])
    labels = distances.argmin(axis=0) + 1
    colors = np.array([-1, *colors_of_labels(np.full((48, 64, 3), 90, np.uint8), labels, len(seeds))])[labels]
    for one, other, cells in (
        (colors[1:], colors[:-1], labels[1:] != labels[:-1]),
        (colors[:, 1:], colors[:, :-1], labels[:, 1:] != labels[:, :-1]),
    ):
        assert (one[cells] != other[cells]).all()


@pytest.mark.parametrize("code", plotting.PALETTE)
def test_a_mask_never_gets_the_colour_that_it_covers_and_never_turns_grey(code):
    index = plotting.PALETTE.index(code)
    image = np.full((20, 20, 3), plotting.color_of(index), np.uint8)
    (chosen,) = plotting.choose_colors(image, np.ones((20, 20), bool))
    mixed = (image[0, 0].astype(int) + plotting.color_of(chosen)) / 2
    assert chosen != index and mixed.max() - mixed.min() > 40


def test_no_mask_and_an_empty_mask_are_no_problem():
    grey = np.full((20, 20), 128, np.uint8)
    assert plotting.choose_colors(grey, np.zeros((0, 20, 20), bool)) == []
    assert len(plotting.choose_colors(grey, np.zeros((2, 20, 20), bool))) == 2


@pytest.mark.parametrize("count", [2, 4, 7])
def test_as_many_masks_as_the_palette_has_colours_all_differ_even_apart(count):
    image = np.full((40, 80, 3), (200, 110, 60), np.uint8)
    masks = np.zeros((count, 40, 80), bool)
    masks[0] = True  # one large mask below small ones that do not touch
    for row in range(1, count):
        masks[row, 10:20, 10 * row : 10 * row + 5] = True
    assert len(set(plotting.choose_colors(image, masks))) == count
