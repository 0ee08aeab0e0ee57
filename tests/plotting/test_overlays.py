"""The drawing functions of Meta's notebooks."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from sam2nb.plotting import show_anns, show_box, show_mask, show_points

SIZE_HW = (60, 80)


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    ax.imshow(np.full((*SIZE_HW, 3), 128, np.uint8))
    yield ax
    plt.close(figure)


def record(x0: int, x1: int) -> dict:
    mask = np.zeros(SIZE_HW, bool)
    mask[10:30, x0:x1] = True
    return {"segmentation": mask, "area": int(mask.sum())}


def layer(ax) -> np.ndarray:
    """The mask layer that was laid over the image: (H, W, 4)"""
    return np.asarray(ax.images[-1].get_array())


def test_the_masks_of_everything_mode_lie_over_the_image_small_ones_on_top(ax):
    assert show_anns([record(30, 40), record(20, 70)], borders=False) is ax
    assert len(ax.images) == 2
    drawn = layer(ax)
    assert drawn.shape == (*SIZE_HW, 4) and (drawn[..., 3] > 0).sum() == 20 * 50
    assert not np.array_equal(drawn[15, 35], drawn[15, 25])


def test_outlines_are_drawn_and_no_masks_draw_nothing(ax):
    show_anns([])
    assert len(ax.images) == 1
    show_anns([record(20, 70)])
    assert not np.array_equal(layer(ax)[10, 20], layer(ax)[15, 40])


def test_run_lengths_are_refused(ax):
    with pytest.raises(TypeError, match='output_mode="binary_mask"'):
        show_anns([{"segmentation": {"size": [2, 2], "counts": [4]}}])


def test_a_mask_takes_the_colour_of_its_object(ax):
    mask = record(20, 70)["segmentation"]
    colors = []
    for obj_id in (0, 1, 1):
        show_mask(mask[None], ax, obj_id=obj_id)
        colors.append(layer(ax)[15, 40])
    assert not np.array_equal(colors[0], colors[1]) and np.array_equal(colors[1], colors[2])
    np.random.seed(3)
    show_mask(torch.from_numpy(mask) * 4.0 - 2, plt.gca(), random_color=True)
    assert (layer(ax)[..., 3] > 0).sum() == mask.sum()
    with pytest.raises(ValueError, match=r"mask must be \(H, W\) or \(1, H, W\), got shape \(2, 60, 80\)"):
        show_mask(np.zeros((2, *SIZE_HW)), ax)


def test_points_and_a_box_are_drawn_as_in_the_notebooks(ax):
    show_points(np.array([[10, 10], [20, 20]]), np.array([1, 0]), ax, marker_size=375)
    assert max(size for dots in ax.collections for size in dots.get_sizes()) == 375
    show_box(np.array([5, 5, 50, 40]), ax)
    assert len(ax.lines) == 2
