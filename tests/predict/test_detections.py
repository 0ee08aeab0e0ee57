"""Detections of other models as prompts for images."""

import logging

import numpy as np
import pytest
import supervision as sv

from sam2nb import SAM2ImagePredictor
from sam2nb.predict.detections import BOXES_AT_ONCE, PIXELS_AT_ONCE, class_names, usable_detections

BOXES = [[10, 5, 60, 40], [70, 20, 130, 80], [-4, 50, 30, 95]]


def detections(boxes=BOXES, **more) -> sv.Detections:
    count = len(boxes)
    fields = {
        "class_id": np.arange(count) % 3 + 4,
        "confidence": np.linspace(0.9, 0.3, count, dtype=np.float32),
        "tracker_id": np.arange(count) + 11,
        "data": {"class_name": np.array(["cat", "dog", "cat"] * count)[:count], "area": np.arange(count)},
    }
    made = sv.Detections(xyxy=np.zeros((count, 4), dtype=np.float32), **{**fields, **more})
    made.xyxy[:] = boxes  # afterwards: new versions of supervision refuse NaN, older ones let it through
    return made


@pytest.fixture(scope="module")
def predictor(random_model, noise):
    predictor = SAM2ImagePredictor(random_model)
    predictor.set_image(noise)
    return predictor


def test_each_detection_gets_the_mask_of_its_box_and_keeps_all_else(predictor, noise):
    before = detections()
    after = predictor.predict_detections(before)
    cut = [[*BOXES[0]], [*BOXES[1]], [0, 50, 30, 90]]
    masks, scores, _ = predictor.predict(box=cut, multimask_output=False)
    assert after.mask.dtype == bool and np.array_equal(after.mask, masks[:, 0])
    np.testing.assert_allclose(after.data["predicted_iou"], scores[:, 0])
    assert before.mask is None and "predicted_iou" not in before.data
    for name in ("xyxy", "class_id", "confidence", "tracker_id"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
    assert after.data["class_name"].tolist() == ["cat", "dog", "cat"] and after.data["area"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("pixels", [PIXELS_AT_ONCE, 5 * 90 * 140, 1])
def test_more_detections_than_a_batch_holds_give_the_same_masks(predictor, pixels, monkeypatch):
    monkeypatch.setattr("sam2nb.predict.detections.PIXELS_AT_ONCE", pixels)
    many = [[x, y, x + 20, y + 15] for x in range(0, 120, 12) for y in range(0, 70, 10)]
    assert len(many) > BOXES_AT_ONCE
    all_of_them = predictor.predict_detections(detections(many))
    alone = predictor.predict_detections(detections(many[-2:]))
    assert len(all_of_them) == len(many)
    assert (all_of_them.mask[-2:] == alone.mask).mean() > 0.999


def test_boxes_that_show_nothing_are_left_out_with_one_warning(predictor, caplog):
    wrong = [
        [np.nan, 0, 9, 9],
        [5, 5, 5, 30],
        [20, 30, 10, 40],
        [200, 5, 300, 50],
        [-50, -50, -1, -1],
        [0, 0, np.inf, 9],
    ]
    with caplog.at_level(logging.WARNING):
        found = predictor.predict_detections(detections([BOXES[0], *wrong, BOXES[1]]))
    assert found.xyxy.tolist() == BOXES[:2] and found.tracker_id.tolist() == [11, 18]
    assert [record.getMessage() for record in caplog.records] == [
        "6 of 8 detections are left out: 2 with NaN or infinite values, 2 empty, 2 outside the image of 140x90"
    ]


@pytest.mark.parametrize("none", [sv.Detections.empty(), detections([[200, 200, 210, 210]])])
def test_no_detections_give_no_masks(predictor, none):
    found = predictor.predict_detections(none)
    assert len(found) == 0 and found.mask.shape == (0, 90, 140)


def test_boxes_in_0_to_1_and_other_classes_are_refused(predictor, random_model):
    with pytest.raises(ValueError, match="in pixels of the image of 140x90, got 0..1"):
        predictor.predict_detections(detections([[0.1, 0.1, 0.4, 0.9]]))
    for other in (BOXES, np.array(BOXES), {"xyxy": BOXES}, sv.Detections):
        with pytest.raises((TypeError, ValueError), match="must be supervision.Detections"):
            predictor.predict_detections(other)
    with pytest.raises(RuntimeError, match="set_image"):
        SAM2ImagePredictor(random_model).predict_detections(detections())


def test_random_boxes_are_cut_to_the_image_or_left_out():
    rng, total = np.random.default_rng(3), 0
    for _ in range(50):
        boxes = rng.uniform(-60, 160, (rng.integers(0, 12), 4))
        boxes[:, 2:] += 70
        boxes[rng.random(boxes.shape) < 0.05] = np.nan
        kept, cut = usable_detections(detections(boxes), (50, 80))
        assert len(kept) == len(cut) <= len(boxes)
        total += len(kept)
        assert (cut[:, :2] < cut[:, 2:]).all() and (cut >= 0).all() and (cut <= (80, 50, 80, 50)).all()
        assert {tuple(box) for box in kept.xyxy} <= {tuple(box) for box in boxes.astype(np.float32)}
    assert total > 50


def test_class_names_come_from_the_data_else_from_the_class_ids():
    assert class_names(detections()) == ["cat", "dog", "cat"]
    assert class_names(detections(data={})) == ["class 4", "class 5", "class 6"]
    assert class_names(detections(data={}, class_id=None)) == [None, None, None]
    assert class_names(detections(data={"class_name": np.array(["cat", "", "dog"])})) == ["cat", None, "dog"]
