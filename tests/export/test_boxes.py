"""Files of boxes from detectors, read as supervision's Detections."""

import json

import numpy as np
import pytest
import supervision as sv

from sam2nb.export.boxes import load_detections
from sam2nb.export.masks import save_coco
from tests.mask_cases import rectangle

BOXES = [[10, 5, 60, 40], [70, 20.5, 130, 80]]
CATS = {"class_name": np.array(["cat", "dog"])}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(("sink", "suffix"), [(sv.CSVSink, "csv"), (sv.JSONSink, "json")])
def test_the_files_of_supervision_are_read_back(sink, suffix, bare, tmp_path):
    fields = {"class_id": np.array([16, 2]), "confidence": np.array([0.9, 0.4]), "tracker_id": np.array([3, 8])}
    before = sv.Detections(xyxy=np.array(BOXES, dtype=np.float32), **({} if bare else {**fields, "data": CATS}))
    with sink(str(tmp_path / f"boxes.{suffix}")) as file:
        file.append(before, {})
    after = load_detections(tmp_path / f"boxes.{suffix}")
    assert np.array_equal(after.xyxy, before.xyxy) and list(after.data) == list(before.data)
    for name in fields:
        before_values, after_values = getattr(before, name), getattr(after, name)
        assert after_values is None if bare else np.allclose(after_values, before_values)
    if not bare:
        assert after.data["class_name"].tolist() == ["cat", "dog"]


def test_other_names_of_columns_are_known_and_gaps_are_filled(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("x1,y1,x2,y2,label,score,track_id\n1,2,3,4,cat,0.5,7\n5,6,9,9,,,\n")
    found = load_detections(path)
    assert found.xyxy.tolist() == [[1, 2, 3, 4], [5, 6, 9, 9]] and found.data["class_name"].tolist() == [
        "cat",
        "object",
    ]
    assert found.confidence[0] == 0.5 and np.isnan(found.confidence[1]) and found.tracker_id.tolist() == [7, -1]
    assert found.class_id is None


def test_the_image_of_a_coco_file_is_chosen_by_its_name(tmp_path):
    records = [
        {"segmentation": rectangle((50, 60), 10, 5, 40, 30), "area": 750, "class_name": "cat"},
        {"segmentation": rectangle((50, 60), 1, 2, 6, 8), "area": 30},
    ]
    path = save_coco(records, tmp_path / "coco.json", (50, 60), "photo.jpg")
    found = load_detections(path)
    assert found.xyxy.tolist() == [[10, 5, 40, 30], [1, 2, 6, 8]]
    assert found.data["class_name"].tolist() == ["cat", "object"]
    content = json.loads(path.read_text())
    content["images"].append({"id": 2, "file_name": "sub/other.jpg"})
    content["annotations"][0]["image_id"] = 2
    path.write_text(json.dumps(content))
    assert load_detections(path, "other.jpg").xyxy.tolist() == [[10, 5, 40, 30]]
    with pytest.raises(ValueError, match="has 2 images, and 0 of them called 'cat.jpg'"):
        load_detections(path, "cat.jpg")


def test_coco_results_of_one_image_are_read(tmp_path):
    path = tmp_path / "results.json"
    rows = [{"image_id": 4, "category_id": 18, "bbox": [10, 20, 5, 6], "score": 0.75}]
    path.write_text(json.dumps(rows))
    found = load_detections(path)
    assert found.xyxy.tolist() == [[10, 20, 15, 26]] and found.class_id.tolist() == [18]
    path.write_text(json.dumps([*rows, {**rows[0], "image_id": 5}]))
    with pytest.raises(ValueError, match="boxes of 2 images"):
        load_detections(path)


def test_a_detector_may_find_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("x_min,y_min,x_max,y_max,class_name\n")
    (tmp_path / "b.json").write_text("[]")
    assert len(load_detections(tmp_path / "a.csv")) == len(load_detections(tmp_path / "b.json")) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "1,2,3,4\n5,6,7,8\n", "row 1: expected numbers x_min"),
        ("a.csv", "x1,y1,x2,y2\n1,2,3,4\n1,2,x,4\n", "row 2: expected numbers"),
        ("a.csv", "x1,y1,x2,y2\n1,2,nan,4\n", "row 1: expected numbers"),
        ("a.csv", "x1,y1,x2,y2\n1,2\n", "row 1: expected numbers"),
        ("a.csv", "x1,y1,x2,y2,score\n1,2,3,4,high\n", "confidence, class_id and tracker_id must be numbers"),
        ("a.json", "{", "is damaged"),
        ("a.json", "3", "must hold a list of boxes"),
        ("a.json", "[[1, 2, 3, 4]]", "must hold a list of boxes"),
        ("a.json", '{"boxes": []}', "COCO json with images and annotations"),
        ("a.json", '[{"bbox": [1, 2, 3]}]', "row 1: expected numbers"),
        ("a.txt", "0 0.5 0.5 0.1 0.1", "are read from .csv or .json, got 'a.txt'"),
    ],
)
def test_files_of_another_kind_are_refused_by_name(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_detections(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*boxes.csv"):
        load_detections(tmp_path / "boxes.csv")
