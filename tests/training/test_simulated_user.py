import numpy as np
import pytest
import torch

from sam2nb.structures import EXCLUDE_LABEL, INCLUDE_LABEL, MASK_LOGIT_CLAMP
from sam2nb.training.simulated_user import boxes_around, click_in, correct, depth, first_clicks


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def disc(row: int, column: int, radius: int, side: int = 32) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def test_the_deepest_click_is_in_the_middle_in_input_pixels(rng):
    assert click_in(rng, disc(10, 20, 6)[None], deepest=1.0).tolist() == [[20.5 * 4, 10.5 * 4]]


def test_every_click_is_inside(rng):
    region = disc(10, 20, 3)
    clicks = click_in(rng, region.expand(50, -1, -1), deepest=0.0)
    assert len(set(map(tuple, clicks.tolist()))) > 10
    assert all(region[int(y // 4), int(x // 4)] for x, y in clicks.tolist())


def test_a_first_click_on_an_absent_object_excludes(rng):
    prompts = first_clicks(rng, torch.stack([disc(10, 10, 4), torch.zeros(32, 32, dtype=torch.bool)]))
    assert prompts.labels.flatten().tolist() == [INCLUDE_LABEL, EXCLUDE_LABEL]


def test_a_box_without_noise_is_tight(rng):
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, 5:9, 10:20] = True
    prompts = boxes_around(rng, mask, noise=0.0)
    assert prompts.points[0].tolist() == [[40, 20], [80, 36]]
    assert prompts.labels[0].tolist() == [2, 3]


def test_boxes_stay_in_the_image(rng):
    mask = torch.ones(20, 32, 32, dtype=torch.bool)
    points = boxes_around(rng, mask, noise=1.0).points
    assert points.min() >= 0
    assert points.max() <= 128


@pytest.mark.parametrize(("predicted", "label"), [(disc(16, 8, 3), INCLUDE_LABEL), (disc(16, 16, 14), EXCLUDE_LABEL)])
def test_a_correction_is_where_the_prediction_is_wrong(rng, predicted, label):
    truth = disc(16, 8, 6)
    logits = torch.where(predicted, 5.0, -5.0)[None, None]
    prompts = correct(rng, first_clicks(rng, truth[None]), logits, truth[None])
    x, y = prompts.points[0, 1].tolist()
    assert (predicted != truth)[int(y // 4), int(x // 4)]
    assert prompts.labels[0, 1] == label
    assert prompts.masks.shape == logits.shape


def test_a_perfect_prediction_gets_a_click_inside(rng):
    truth = disc(16, 16, 6)
    logits = torch.where(truth, 5.0, -5.0)[None, None]
    prompts = correct(rng, first_clicks(rng, truth[None]), logits, truth[None])
    assert prompts.labels[0].tolist() == [INCLUDE_LABEL, INCLUDE_LABEL]


def test_depth_counts_the_steps_to_the_outside():
    square = torch.zeros(1, 9, 9, dtype=torch.bool)
    square[0, 2:7, 2:7] = True
    assert depth(square)[0, 4].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]
    assert depth(torch.ones(1, 3, 3, dtype=torch.bool))[0].max() == 2  # the image's edge is an outside


def test_the_thickest_error_is_corrected_first(rng):
    truth = disc(5, 5, 2)
    logits = torch.where(disc(20, 20, 5) | disc(5, 25, 1), 5.0, -5.0)[None, None]
    prompts = correct(np.random.default_rng(1), first_clicks(rng, truth[None]), logits, truth[None])
    clicks = [correct(rng, prompts, logits, truth[None]).points[0, -1].tolist() for _ in range(30)]
    assert sum(max(abs(x - 82), abs(y - 82)) <= 8 for x, y in clicks) > 10  # the middle of the large disc


def test_the_prediction_goes_back_in_clamped_as_a_mask_prompt(rng):
    truth = disc(16, 16, 6)[None]
    prompts = correct(rng, first_clicks(rng, truth), torch.full((1, 1, 32, 32), 90.0), truth)
    assert prompts.masks.max() == MASK_LOGIT_CLAMP


def test_an_absent_object_gets_another_exclude_click(rng):
    truth = torch.zeros(1, 32, 32, dtype=torch.bool)
    prompts = correct(rng, first_clicks(rng, truth), torch.full((1, 1, 32, 32), -5.0), truth)
    assert prompts.labels[0].tolist() == [EXCLUDE_LABEL, EXCLUDE_LABEL]
