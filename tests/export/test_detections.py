"""Masks as supervision's Detections and back."""

import numpy as np
import pytest
import supervision as sv
import torch

from sam2nb.export.detections import from_detections, to_detections
from sam2nb.masks.rle import as_rle
from sam2nb.predict.video.session import FrameResult
from tests.mask_cases import rectangle

SIZE_HW = (40, 56)


def masked(**more) -> sv.Detections:
    mask = np.stack([rectangle(SIZE_HW, 8, 10, 29, 31), rectangle(SIZE_HW, 30, 2, 51, 21)])
    fields = {
        "class_id": np.array([16, 2]),
        "confidence": np.array([0.9, 0.4], np.float32),
        "tracker_id": np.array([3, 8]),
    }
    data = {"class_name": np.array(["cat", "dog"]), "predicted_iou": np.array([0.8, 0.7], np.float32)}
    fields = {"mask": mask, "data": data, **fields, **more}
    return sv.Detections(xyxy=sv.mask_to_xyxy(mask).astype(np.float32), **fields)


def test_detections_become_records_and_come_back():
    before = masked()
    records = from_detections(before)
    assert [record["class_name"] for record in records] == ["cat", "dog"]
    assert [record["track_id"] for record in records] == [3, 8]
    after = to_detections(records)
    for name in ("xyxy", "mask", "class_id", "confidence", "tracker_id"):
        assert np.array_equal(getattr(after, name), getattr(before, name)), name
    assert after.data["class_name"].tolist() == ["cat", "dog"]


def test_bare_detections_give_bare_records():
    bare = masked(class_id=None, confidence=None, tracker_id=None, data={})
    records = from_detections(bare)
    assert all(set(record) == {"segmentation", "area", "bbox"} for record in records)
    after = to_detections(records)
    assert (
        after.confidence is None and after.tracker_id is None and after.class_id.tolist() == [0, 0] and not after.data
    )
    assert from_detections(sv.Detections.empty()) == []


def test_detections_without_masks_are_refused():
    with pytest.raises(ValueError, match="no masks: use those of SAM2ImagePredictor.predict_detections"):
        from_detections(masked(mask=None))


def test_the_result_of_a_frame_becomes_detections_of_the_objects_that_are_there():
    masks = torch.full((3, 1, *SIZE_HW), -5.0)
    masks[0, 0, 5:15, 10:30] = masks[2, 0, 20:30, 10:20] = 3
    result = FrameResult(4, [7, 2, 5], masks, [0.5, 0.25, 0.75], [1, -1, 1], ["cat", "dog", None])
    found = to_detections(result)
    assert found.tracker_id.tolist() == [7, 5] and found.data["class_name"].tolist() == ["cat", "object"]
    assert found.confidence.tolist() == [0.5, 0.75] and found.class_id.tolist() == [0, 1]
    assert found.mask.sum(axis=(1, 2)).tolist() == [200, 100]
    assert to_detections(FrameResult(0, ["a", 1], masks[[0, 2]])).tracker_id is None
    assert len(to_detections(FrameResult(0, [1], masks[1:2]))) == 0


def test_masks_of_records_may_have_any_form():
    mask = rectangle(SIZE_HW, 8, 10, 28, 30)
    for form in (mask, as_rle(mask).to_coco(), as_rle(mask).to_dict()):
        assert np.array_equal(to_detections([{"segmentation": form}]).mask[0], mask)
