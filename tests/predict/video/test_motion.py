"""Motion in the choice of masks: where an object should be, and how much that counts."""

import pytest
import torch

from sam2nb import SAM2VideoPredictor
from sam2nb.predict.video.facts import Facts, box_iou
from sam2nb.predict.video.motion import WEIGHT, choose_by_motion, expected_box
from sam2nb.predict.video.session import ObjectPrediction
from sam2nb.structures import MaskPrediction
from tests.predict.video.clips import CLICK, COUNT, frame, run, small_model


def at(x: float, visible: bool = True) -> Facts:
    """A box of a tenth of the frame, its left edge at x."""
    return Facts(0.9, 5.0 if visible else -5.0, 0.01, (x, 0.4, x + 0.1, 0.5))


def test_an_object_is_expected_at_the_speed_of_its_last_frames():
    moving = {n: at(0.1 + 0.05 * n) for n in range(6)}
    assert expected_box(6, moving) == pytest.approx((0.4, 0.4, 0.5, 0.5))
    backwards = {10 - n: seen for n, seen in moving.items()}
    assert expected_box(4, backwards, reverse=True) == pytest.approx((0.4, 0.4, 0.5, 0.5))


def test_a_gap_is_bridged_and_a_long_one_says_nothing():
    moving = {n: at(0.1 + 0.05 * n) for n in range(6)} | {6: at(0, visible=False), 7: at(0, visible=False)}
    assert expected_box(8, moving) == pytest.approx((0.5, 0.4, 0.6, 0.5))
    assert expected_box(12, moving) is None and expected_box(1, moving) is None and expected_box(5, {}) is None


def prediction(*masks: tuple[int, float]) -> ObjectPrediction:
    """Candidates of one object: squares of 4 pixels at a column of 16, and their predicted IoU."""
    logits = torch.full((1, len(masks), 16, 16), -5.0)
    for number, (column, _) in enumerate(masks):
        logits[0, number, 6:10, column : column + 4] = 5.0
    iou = torch.tensor([[quality for _, quality in masks]])
    score = torch.ones(1, 1)
    candidates = MaskPrediction(logits, iou, torch.zeros(1, len(masks), 256), score)
    return ObjectPrediction(logits[:, :1], score, iou[:, :1], None, candidates=candidates)


def test_motion_decides_between_masks_that_are_about_as_good():
    here = (0.5, 6 / 16, 0.75, 10 / 16)
    two = prediction((0, 0.8), (8, 0.75))
    assert choose_by_motion(two, [here]).tolist() == [1]
    assert choose_by_motion(two, [None]).tolist() == [0], "predicted IoU alone"
    far_better = prediction((0, 0.8), (8, 0.8 - 1.1 * WEIGHT / (1 - WEIGHT)))
    assert choose_by_motion(far_better, [here]).tolist() == [0]


def test_iou_of_boxes():
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 1, 1), (2, 2, 3, 3)) == box_iou((0, 0, 0, 0), (0, 0, 1, 1)) == 0


def test_tracking_with_motion_takes_one_of_the_masks_and_its_pointer():
    model = small_model()
    results = {}
    for motion in (False, True):
        predictor = SAM2VideoPredictor(model, motion=motion, progress=False)
        session = predictor.init_state([frame(i) for i in range(COUNT)])
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
        results[motion] = run(predictor, session)
    assert torch.equal(results[True][0], results[False][0]), "a prompted frame is not tracked"
    assert set(results[True]) == set(results[False])


def test_motion_is_refused_for_matching():
    with pytest.raises(ValueError, match='cannot be used with memory="match"'):
        SAM2VideoPredictor(small_model(), memory="match", motion=True)
