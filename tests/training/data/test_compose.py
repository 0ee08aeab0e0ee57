from dataclasses import replace

import numpy as np
import pytest

from sam2nb.training.data.compose import Path2D, bend, compose_clip, compose_still, photo_cutout, warp_onto_frame


def test_the_same_seed_composes_the_same_clip(materials):
    first, second = (compose_clip(np.random.default_rng(3), materials, 64, 3) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


def test_masks_of_one_image_do_not_overlap(materials):
    for seed in range(10):
        _, masks = compose_still(np.random.default_rng(seed), materials, 64)
        assert masks.sum(0).max() == 1


def test_an_object_is_pasted_at_its_position(materials):
    rgba = np.zeros((40, 20, 4), np.uint8)
    rgba[...] = (200, 100, 50, 255)
    path = Path2D(np.array([[0.5, 0.25]]), np.array([0.5]), np.zeros(1), np.zeros(1))
    colour, alpha = warp_onto_frame(rgba, path, 0, 64)
    rows, columns = np.nonzero(alpha > 0.5)
    assert abs(rows.mean() - 15.5) < 1
    assert abs(columns.mean() - 31.5) < 1
    assert abs(len(rows) - 32 * 16) < 80
    assert np.allclose(colour[16, 32], (200, 100, 50), atol=1)


def test_every_object_of_a_clip_is_visible_on_the_first_frame(materials):
    for seed in range(5):
        images, masks = compose_clip(np.random.default_rng(seed), materials, 64, 4)
        assert images.shape == (4, 64, 64, 3)
        assert masks.shape[0] == 4
        assert masks[0].any((1, 2)).all()


def test_some_objects_leave_the_image_and_some_are_occluded(materials):
    gone = shrunk = False
    for seed in range(40):
        _, masks = compose_clip(np.random.default_rng(seed), materials, 64, 6)
        area = masks.sum((2, 3))
        gone |= bool((area == 0).any())
        shrunk |= bool(((area > 0) & (area < 0.6 * area[:1])).any())
    assert gone
    assert shrunk


def test_materials_without_a_visible_object_are_an_error(materials):
    empty = replace(materials, cutouts=replace(materials.cutouts, rgba=np.zeros_like(materials.cutouts.rgba)))
    with pytest.raises(RuntimeError, match="are the cut-outs empty"):
        compose_clip(np.random.default_rng(0), empty, 32, 1)


def test_objects_are_cut_out_of_photographs_by_the_teachers_masks(materials):
    rgba = photo_cutout(np.random.default_rng(0), materials)
    assert rgba.shape == (60 * 4, 60 * 4, 4)  # the mask covers 60 x 60 of 128 x 128 cells
    assert rgba[100, 100, 3] == 255


def test_a_cutout_bends_without_changing_its_size():
    rgba = np.full((40, 40, 4), 255, np.uint8)
    assert bend(rgba, 0.0) is rgba
    bent = bend(rgba, 0.2)
    assert bent.shape == rgba.shape
    assert 0 < (bent[..., 3] == 0).sum() < 40 * 40 / 2
