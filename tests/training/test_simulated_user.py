import numpy as np
import pytest
import torch

from sam2nb.structures import EXCLUDE_LABEL, INCLUDE_LABEL, MASK_LOGIT_CLAMP
from sam2nb.training.simulated_user import boxes_around, click_in, correct, first_clicks, largest_component


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def disc(row: int, column: int, radius: int, side: int = 32) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def test_the_deepest_click_is_in_the_middle_in_input_pixels(rng):
    assert click_in(rng, disc(10, 20, 6), deepest=True) == (20.5 * 4, 10.5 * 4)


def test_every_click_is_inside(rng):
    region = disc(10, 20, 3)
    for _ in range(50):
        x, y = click_in(rng, region, deepest=False)
        assert region[int(y // 4), int(x // 4)]


def test_a_first_click_on_an_absent_object_excludes(rng):
    prompts = first_clicks(rng, np.stack([disc(10, 10, 4), np.zeros((32, 32), bool)]))
    assert prompts.labels.flatten().tolist() == [INCLUDE_LABEL, EXCLUDE_LABEL]


def test_a_box_without_noise_is_tight(rng):
    mask = np.zeros((1, 32, 32), bool)
    mask[0, 5:9, 10:20] = True
    prompts = boxes_around(rng, mask, noise=0.0)
    assert prompts.points[0].tolist() == [[40, 20], [80, 36]]
    assert prompts.labels[0].tolist() == [2, 3]


def test_boxes_stay_in_the_image(rng):
    mask = np.ones((20, 32, 32), bool)
    points = boxes_around(rng, mask, noise=1.0).points
    assert points.min() >= 0
    assert points.max() <= 128


@pytest.mark.parametrize(("predicted", "label"), [(disc(16, 8, 3), INCLUDE_LABEL), (disc(16, 16, 14), EXCLUDE_LABEL)])
def test_a_correction_is_where_the_prediction_is_wrong(rng, predicted, label):
    truth = disc(16, 8, 6)
    logits = torch.from_numpy(np.where(predicted, 5.0, -5.0)).float()[None, None]
    prompts = correct(rng, first_clicks(rng, truth[None]), logits, truth[None])
    x, y = prompts.points[0, 1].tolist()
    assert (predicted != truth)[int(y // 4), int(x // 4)]
    assert prompts.labels[0, 1] == label
    assert prompts.masks.shape == logits.shape


def test_a_perfect_prediction_gets_a_click_inside(rng):
    truth = disc(16, 16, 6)
    logits = torch.from_numpy(np.where(truth, 5.0, -5.0)).float()[None, None]
    prompts = correct(rng, first_clicks(rng, truth[None]), logits, truth[None])
    assert prompts.labels[0].tolist() == [INCLUDE_LABEL, INCLUDE_LABEL]


def test_the_largest_connected_error_is_chosen():
    missed, surplus = disc(5, 5, 2), disc(20, 20, 5) | disc(5, 25, 1)
    assert np.array_equal(largest_component(missed, surplus), disc(20, 20, 5))


def test_the_prediction_goes_back_in_clamped_as_a_mask_prompt(rng):
    truth = disc(16, 16, 6)[None]
    prompts = correct(rng, first_clicks(rng, truth), torch.full((1, 1, 32, 32), 90.0), truth)
    assert prompts.masks.max() == MASK_LOGIT_CLAMP


def test_an_absent_object_gets_another_exclude_click(rng):
    truth = np.zeros((1, 32, 32), bool)
    prompts = correct(rng, first_clicks(rng, truth), torch.full((1, 1, 32, 32), -5.0), truth)
    assert prompts.labels[0].tolist() == [EXCLUDE_LABEL, EXCLUDE_LABEL]
