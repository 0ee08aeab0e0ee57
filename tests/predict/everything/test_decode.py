"""Points through the decoder, in batches."""

import pytest
import torch

from sam2nb import SAM2ImagePredictor
from sam2nb.predict.everything.decode import (
    BatchPlan,
    decode_points,
    drop_unconfident,
    plan_batches,
    refine_with_m2m,
)

POINTS = torch.tensor([[10.0, 20], [70, 40], [130, 80], [5, 5], [60, 60]])


@pytest.fixture(scope="module")
def predictor(random_model, noise):
    predictor = SAM2ImagePredictor(random_model)
    predictor.set_image(noise)
    return predictor


def test_a_point_gives_the_masks_of_the_image_predictor(predictor):
    masks = decode_points(predictor, POINTS, multimask=True)
    assert len(masks) == 15 and masks.points[3:6].tolist() == [POINTS[1].tolist()] * 3
    _, scores, logits = predictor.predict(POINTS[1:2], [1])
    assert torch.allclose(masks.iou[3:6], torch.from_numpy(scores), atol=1e-5)
    assert torch.allclose(masks.logits[3:6].clamp(-32, 32), torch.from_numpy(logits), atol=1e-3)


def test_mask_to_mask_gives_one_mask_for_each_mask(predictor):
    masks = decode_points(predictor, POINTS, multimask=True)
    refined = refine_with_m2m(predictor, masks, points_at_once=4)
    assert len(refined) == 15 and torch.equal(refined.points, masks.points)
    expected = predictor.predict(POINTS[:1], [1], mask_input=masks.logits[:1].clamp(-32, 32), multimask_output=False)
    assert torch.allclose(refined.iou[:1], torch.from_numpy(expected.scores), atol=1e-5)


def test_masks_of_low_predicted_iou_are_dropped_and_zero_keeps_all(predictor):
    masks = decode_points(predictor, POINTS, multimask=True)
    middle = masks.iou.median().item()
    kept = drop_unconfident(masks, middle)
    assert torch.equal(kept.iou, masks.iou[masks.iou > middle]) and len(kept.points) == len(kept.logits) == len(kept)
    assert drop_unconfident(masks, 0.0) is masks


def test_a_plan_stays_within_the_points_per_batch_and_is_made_of_whole_groups(random_model):
    assert plan_batches(random_model, 10**9, 64).points == 64
    assert plan_batches(random_model, 10**9, 5).points == 8
    assert plan_batches(random_model, 1, 64).points == 4


def test_a_plan_is_halved_down_to_one_group():
    plan, sizes = BatchPlan(points=64, pixels=1000), []
    while not plan.is_smallest:
        plan = plan.halved()
        sizes.append(plan.points)
    assert sizes == [32, 16, 8, 4] and plan.pixels == 62
