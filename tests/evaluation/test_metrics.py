"""Metrics, against cases worked out by hand and against independent libraries (pycocotools, TrackEval, SciPy)."""

import math
import subprocess
import sys

import numpy as np
import pytest

from sam2nb.evaluation.metrics import Click, boundary_f, j_and_f, mask_iou, next_click, outline


def square(top: int, left: int, side: int, shape=(60, 80)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def blobs(seed: int, shape=(96, 128)) -> np.ndarray:
    """Random smooth shapes: blurred noise above a threshold."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 5)
    return noise > noise.mean() + 0.5 * noise.std()


def test_iou_of_half_overlapping_squares_is_one_third():
    assert mask_iou(square(10, 10, 20), square(10, 20, 20)) == pytest.approx(1 / 3)


def test_two_empty_masks_agree_and_a_false_positive_scores_zero():
    empty = np.zeros((60, 80), dtype=bool)
    assert mask_iou(empty, empty) == boundary_f(empty, empty) == 1.0
    assert mask_iou(square(1, 1, 5), empty) == boundary_f(square(1, 1, 5), empty) == 0.0


def test_iou_equals_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    for seed in range(5):
        a, b = blobs(seed), blobs(seed + 100)
        theirs = coco.iou(
            [coco.encode(np.asfortranarray(a.astype(np.uint8)))],
            [coco.encode(np.asfortranarray(b.astype(np.uint8)))],
            [0],
        )
        assert mask_iou(a, b) == pytest.approx(float(theirs[0, 0]))


def test_outline_of_a_square_is_its_upper_left_border():
    border = outline(square(2, 2, 3, (8, 8)))
    assert np.count_nonzero(border) == 12
    assert border[1, 1] and border[4, 4] and not border[3, 3] and not border[5, 5]


def test_a_shift_costs_contour_accuracy_only_beyond_the_tolerance():
    truth = square(20, 20, 20)
    assert boundary_f(square(20, 21, 20), truth, tolerance=1) == 1.0
    assert boundary_f(square(20, 24, 20), truth, tolerance=1) < 0.7


def test_default_tolerance_is_eight_thousandths_of_the_diagonal_rounded_up():
    truth, moved = square(100, 100, 200, (480, 854)), square(100, 108, 200, (480, 854))
    assert math.ceil(0.008 * math.hypot(480, 854)) == 8
    assert boundary_f(moved, truth) == 1.0
    assert boundary_f(moved, truth, tolerance=7) < 1.0


@pytest.mark.parametrize("seed", range(6))
def test_contour_accuracy_equals_trackeval(seed):
    module = pytest.importorskip("trackeval.metrics.j_and_f")
    pytest.importorskip("skimage")
    from pycocotools import mask as coco

    a, b = blobs(seed), blobs(seed) ^ (blobs(seed + 50) & blobs(seed + 70))
    encode = lambda m: coco.encode(np.asfortranarray(m.astype(np.uint8)))  # noqa: E731
    theirs = module.JAndF._compute_f([[encode(b)]], [[encode(a)]], 0, 0, 0.008)
    assert boundary_f(a, b) == pytest.approx(float(np.ravel(theirs)[0]), abs=1e-9)


def test_j_and_f_is_the_mean_of_the_means_over_frames():
    truth = [square(10, 10, 20)] * 2
    guess = [square(10, 10, 20), np.zeros((60, 80), dtype=bool)]
    assert j_and_f(guess, truth) == (0.5, 0.5, 0.5)


def test_j_and_f_rejects_a_different_number_of_frames():
    with pytest.raises(ValueError, match="1 frames and truth has 2"):
        j_and_f([square(1, 1, 5)], [square(1, 1, 5)] * 2)


def test_masks_of_different_sizes_are_rejected_naming_both_shapes():
    with pytest.raises(ValueError, match=r"\(60, 80\) and truth \(30, 40\)"):
        mask_iou(square(1, 1, 5), square(1, 1, 5, (30, 40)))


def test_first_click_is_the_pixel_deepest_inside():
    assert next_click(None, square(10, 20, 21)) == Click(30, 20, 1)


def test_depth_counts_the_image_border_as_outside():
    mask = np.zeros((40, 40), dtype=bool)
    mask[:, :21] = True  # touches three borders
    click = next_click(None, mask)
    assert click.x == 10 and 10 <= click.y <= 29


def test_next_click_falls_into_the_deeper_of_the_missing_and_the_superfluous_region():
    truth = square(10, 10, 20) | square(30, 50, 5)
    too_much = square(10, 10, 20) | square(40, 10, 11)
    assert next_click(too_much, truth) == Click(15, 45, 0)
    assert next_click(square(10, 10, 20), truth) == Click(52, 32, 1)


def test_a_perfect_mask_needs_no_click():
    assert next_click(square(10, 10, 20), square(10, 10, 20)) is None


@pytest.mark.parametrize("seed", range(4))
def test_click_depth_agrees_with_scipy(seed):
    from scipy.ndimage import distance_transform_edt

    guess, truth = blobs(seed), blobs(seed + 9)
    depth = {
        1: distance_transform_edt(np.pad(truth & ~guess, 1))[1:-1, 1:-1],
        0: distance_transform_edt(np.pad(guess & ~truth, 1))[1:-1, 1:-1],
    }
    click = next_click(guess, truth)
    assert depth[click.label][click.y, click.x] == pytest.approx(max(d.max() for d in depth.values()), abs=1e-3)


def test_importing_the_metrics_brings_neither_torch_nor_matplotlib():
    code = "import sys, sam2nb.evaluation.metrics; print({'torch', 'matplotlib'} & sys.modules.keys() or 'neither')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "neither"
