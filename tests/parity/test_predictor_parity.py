"""The image predictor against the official one, on the genuine tiny weights and real photographs."""

import numpy as np
import pytest
import torch

from sam2nb import SAM2ImagePredictor
from tests.reference import LOGIT_TOLERANCE, SCORE_TOLERANCE, build_official

pytestmark = [pytest.mark.parity, pytest.mark.genuine]


@pytest.fixture(scope="module")
def predictors(official, genuine_tiny, photo):
    from sam2.sam2_image_predictor import SAM2ImagePredictor as OfficialPredictor

    theirs = build_official("sam2_hiera_t")
    theirs.load_state_dict(genuine_tiny.state_dict(), strict=True)
    pair = SAM2ImagePredictor(genuine_tiny), OfficialPredictor(theirs)
    for predictor in pair:
        predictor.set_image(photo)
    return pair


POINT, BOX = [[220, 120]], [100, 20, 400, 290]
CASES = {
    "one click, three masks": {"point_coords": POINT, "point_labels": [1]},
    "one click, one mask": {"point_coords": POINT, "point_labels": [1], "multimask_output": False},
    "clicks of both kinds": {"point_coords": [[220, 120], [20, 20]], "point_labels": [1, 0], "multimask_output": False},
    "a box": {"box": BOX, "multimask_output": False},
    "a box, three masks": {"box": BOX},
    "a box and a click": {"box": BOX, "point_coords": POINT, "point_labels": [0], "multimask_output": False},
    "four boxes": {
        "box": [BOX, [10, 10, 60, 60], [150, 100, 200, 150], [0, 0, 451, 300]],
        "multimask_output": False,
    },
    "two objects by clicks": {"point_coords": [POINT, [[30, 30]]], "point_labels": [[1], [1]]},
    "coordinates in 0..1": {"point_coords": [[0.5, 0.4]], "point_labels": [1], "normalize_coords": False},
    "a click outside": {"point_coords": [[500, -20]], "point_labels": [1]},
}


def as_arrays(case: dict) -> dict:
    return {key: np.array(value) if isinstance(value, list) else value for key, value in case.items()}


def assert_same(mine, reference):
    for ours, theirs, tolerance in zip(
        mine, reference, (LOGIT_TOLERANCE, SCORE_TOLERANCE, LOGIT_TOLERANCE), strict=True
    ):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= tolerance


@pytest.mark.parametrize("kind", CASES)
def test_predictions_equal_the_official_ones(predictors, kind):
    ours, theirs = predictors
    case = as_arrays(CASES[kind])
    assert_same(ours.predict(**case, return_logits=True), theirs.predict(**case, return_logits=True))


def test_masks_are_the_official_ones_as_bool(predictors):
    ours, theirs = predictors
    case = as_arrays(CASES["one click, three masks"])
    masks, reference = ours.predict(**case).masks, theirs.predict(**case)[0]
    assert masks.dtype == bool
    assert (masks != reference.astype(bool)).sum() <= 3  # pixels that stand on the threshold


@pytest.mark.parametrize("multimask", [True, False])
def test_an_earlier_prediction_fed_back_gives_the_official_masks(predictors, multimask):
    ours, theirs = predictors
    first = ours.predict(np.array(POINT), np.array([1]))
    logits = first.logits[[first.scores.argmax()]]
    for extra in ({}, {"point_coords": np.array([[300, 200]]), "point_labels": np.array([1])}):
        case = {"mask_input": logits, "multimask_output": multimask, "return_logits": True, **extra}
        assert_same(ours.predict(**case), theirs.predict(**case))


def test_the_embedding_equals_the_official_one(predictors):
    ours, theirs = predictors
    gap = (ours.get_image_embedding() - theirs.get_image_embedding()).abs().max().item()
    assert gap <= 1e-4


@pytest.mark.slow
def test_a_batch_of_images_gives_the_official_masks(predictors, photo):
    ours, theirs = predictors
    images = [photo[:, :200].copy(), photo[::2, ::3].copy()]
    clicks, labels = [np.array([[100, 150]]), np.array([[50, 50], [10, 10]])], [np.array([1]), np.array([1, 0])]
    boxes = [np.array([20, 20, 180, 250]), None]
    for predictor in predictors:
        predictor.set_image_batch(images)
    try:
        mine = ours.predict_batch(clicks, labels, boxes, multimask_output=False, return_logits=True)
        reference = theirs.predict_batch(clicks, labels, boxes, multimask_output=False, return_logits=True)
        for index in range(2):
            assert_same([column[index] for column in mine], [column[index] for column in reference])
    finally:
        for predictor in predictors:
            predictor.set_image(photo)


def test_random_weights_do_not_hide_behind_the_genuine_ones(predictors, photo):
    """The comparison fails when a single weight differs: it can fail."""
    ours, theirs = predictors
    case = as_arrays(CASES["one click, three masks"])
    with torch.no_grad():
        weight = ours.model.sam_mask_decoder.iou_token.weight
        kept = weight.clone()
        weight.add_(0.5)
        try:
            changed = ours.predict(**case, return_logits=True)
        finally:
            weight.copy_(kept)
    with pytest.raises(AssertionError):
        assert_same(changed, theirs.predict(**case, return_logits=True))
