"""Detections of other models as objects of a video."""

import numpy as np
import pytest
import supervision as sv

from sam2nb.predict.video.detections import object_ids
from tests.predict.test_detections import detections
from tests.predict.video.clips import CLICK, COUNT, SIZE_HW, frame

BOXES = [[8, 10, 28, 30], [34, 2, 54, 20]]


def test_each_detection_becomes_an_object_with_its_class_name(predictor, session):
    result = predictor.add_detections(session, 0, detections(BOXES, tracker_id=None))
    assert result.obj_ids == [1, 2] and result.names == ["cat", "dog"]
    single = predictor.init_state([frame(i) for i in range(COUNT)])
    alone = predictor.add_new_points_or_box(single, 0, 1, box=BOXES[0])
    assert alone.masks[0].equal(result.masks[0]) and alone.names == [None]
    results = list(predictor.propagate_in_video(session))
    assert len(results) == COUNT and all(result.names == ["cat", "dog"] for result in results)


def test_tracker_ids_prompt_the_same_object_on_several_frames(predictor, session):
    predictor.add_new_points_or_box(session, 0, 3, **CLICK)
    predictor.add_detections(session, 0, detections(BOXES, tracker_id=np.array([7, -1])))
    assert session.obj_ids == [3, 7, 8]
    result = predictor.add_detections(
        session, 4, detections(BOXES[:1], tracker_id=np.array([7]), data={}, class_id=None)
    )
    assert result.obj_ids == [3, 7, 8] and result.names == [None, "cat", "dog"]
    assert sorted(session.objects[7].prompts) == [0, 4]


def test_what_cannot_be_right_is_refused_and_changes_nothing(predictor, session):
    with pytest.raises(ValueError, match="tracker_id must differ .* got 5 more than once"):
        predictor.add_detections(session, 0, detections(BOXES, tracker_id=np.array([5, 5])))
    with pytest.raises(ValueError, match="frame_idx must be in 0..7"):
        predictor.add_detections(session, COUNT, sv.Detections.empty())
    with pytest.raises(TypeError, match="supervision.Detections"):
        predictor.add_detections(session, 0, BOXES)
    assert session.obj_ids == []


def test_no_detections_are_no_objects(predictor, session, caplog):
    result = predictor.add_detections(session, 0, detections([[100, 100, 120, 130]]))
    assert result.obj_ids == [] and result.masks.shape == (0, 1, *SIZE_HW)
    assert "1 of 1 detections are left out" in caplog.text


def test_streams_take_detections_too(predictor):
    stream = predictor.stream()
    with pytest.raises(RuntimeError, match="no frame yet"):
        stream.add_detections(detections(BOXES))
    stream.push(frame(0))
    assert stream.add_detections(detections(BOXES)).names == ["cat", "dog"]
    assert stream.push(frame(1)).names == ["cat", "dog"] and stream.obj_ids == [11, 12]


def test_names_are_saved_with_the_session(predictor, session, tmp_path):
    predictor.add_detections(session, 0, detections(BOXES))
    session.objects[12].name = None
    path = predictor.save_session(session, tmp_path / "session")
    loaded = predictor.load_session(path, [frame(i) for i in range(COUNT)])
    assert [track.name for track in loaded.objects.values()] == ["cat", None]


def test_ids_are_different_from_each_other_and_from_those_known():
    rng = np.random.default_rng(0)
    for _ in range(100):
        known = ["a", *rng.integers(0, 9, 3).tolist()]
        given = np.where(rng.random(6) < 0.5, -1, rng.permutation(12)[:6])
        ids = object_ids(given, 6, known)
        assert len(set(ids)) == 6
        for own, obj_id in zip(given, ids, strict=True):
            assert obj_id == own if own >= 0 else obj_id not in known
