"""Class names in the files of images and videos."""

import json

import numpy as np
import pytest
import supervision as sv
import torch
from PIL import Image
from pycocotools.coco import COCO

from sam2nb.export import masks as export
from sam2nb.export.classes import ClassNames, read_yolo_names, write_yolo_names
from sam2nb.export.tracks import PaletteWriter, save_tracks
from sam2nb.media.video import open_frames
from sam2nb.predict.video.session import FrameResult
from tests.mask_cases import rectangle

SIZE_HW = (40, 56)
NAMES = ["cat", None, "dog", "cat"]


def records(names=tuple(NAMES)) -> list[dict]:
    boxes = [(2 + 12 * i, 3, 12 + 12 * i, 20) for i in range(len(names))]
    made = [{"segmentation": rectangle(SIZE_HW, *box), "area": 170} for box in boxes]
    return [{**record, "class_name": name} if name else record for record, name in zip(made, names, strict=True)]


def result(index: int, names=("cat", None, "cat"), ids=(1, 9, "b")) -> FrameResult:
    masks = torch.full((len(ids), 1, *SIZE_HW), -5.0)
    for row in range(len(ids)):
        masks[row, 0, 5:25, 2 + 18 * row : 14 + 18 * row] = 3.0
    return FrameResult(index, list(ids), masks, names=names)


def test_the_categories_of_a_coco_file_are_the_class_names(tmp_path):
    path = export.save_coco(records(), tmp_path / "masks.json", SIZE_HW)
    data = COCO(path)
    names = {category["id"]: category["name"] for category in data.loadCats(data.getCatIds())}
    assert names == {1: "cat", 2: "object", 3: "dog"}
    assert [names[a["category_id"]] for a in data.loadAnns(data.getAnnIds())] == ["cat", "object", "dog", "cat"]
    assert [record.get("class_name") for record in export.load_coco(path)[0]] == NAMES


def test_without_names_the_only_category_is_object(tmp_path):
    for content in (records([None, None]), []):
        path = export.save_coco(content, tmp_path / "masks.json", SIZE_HW)
        assert json.loads(path.read_text())["categories"] == [{"id": 1, "name": "object"}]


def test_the_names_of_yolo_are_numbered_for_the_whole_folder(tmp_path):
    export.save_yolo(records(["cat", "dog"]), tmp_path / "a.txt")
    export.save_yolo(records(["bird", "cat", None]), tmp_path / "b.txt")
    assert read_yolo_names(tmp_path) == ["cat", "dog", "bird", "object"]
    read = export.load_yolo(tmp_path / "b.txt", SIZE_HW)
    assert [record["class_id"] for record in read] == [2, 0, 3]
    assert [record.get("class_name") for record in read] == ["bird", "cat", None]


def test_yolo_folders_are_read_by_supervision(tmp_path):
    Image.fromarray(np.zeros((*SIZE_HW, 3), np.uint8)).save(tmp_path / "a.jpg")
    export.save_yolo(records(["cat", "dog", "cat"]), tmp_path / "a.txt")
    data = sv.DetectionDataset.from_yolo(str(tmp_path), str(tmp_path), str(tmp_path / "data.yaml"), force_masks=True)
    [(_, _, detections)] = list(data)
    assert data.classes == ["cat", "dog"] and detections.class_id.tolist() == [0, 1, 0]


def test_given_names_fix_the_numbers_of_yolo(tmp_path):
    export.save_yolo(records(["dog"]), tmp_path / "a.txt", names=["person", "dog"])
    assert (tmp_path / "a.txt").read_text().startswith("1 ")
    assert read_yolo_names(tmp_path) == ["person", "dog"]


def test_without_names_yolo_keeps_class_ids_and_writes_no_names(tmp_path):
    unnamed = [{**record, "class_id": 5} for record in records([None])] + records([None])
    lines = export.save_yolo(unnamed, tmp_path / "a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["5", "0"] and not (tmp_path / "data.yaml").exists()


def test_other_entries_of_a_data_yaml_stay(tmp_path):
    (tmp_path / "data.yaml").write_text("path: ../cats\ntrain: images\nnames:\n  0: Kätzchen\n  1: dog\n")
    export.save_yolo(records(["dog", "cow"]), tmp_path / "a.txt")
    assert read_yolo_names(tmp_path) == ["Kätzchen", "dog", "cow"]
    text = (tmp_path / "data.yaml").read_text(encoding="utf-8")
    assert "path: ../cats" in text and "train: images" in text and "nc: 3" in text


@pytest.mark.parametrize("text", ["names: 3", "names: {0: cat, 2: dog}", "- cat", "names: [cat"])
def test_a_data_yaml_that_numbers_no_classes_is_refused(text, tmp_path):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(ValueError, match="data.yaml") as caught:
        export.save_yolo(records(), tmp_path / "a.txt")
    assert "\n" not in str(caught.value) and not (tmp_path / "a.txt").exists()


def test_label_maps_have_their_names_beside_them(tmp_path):
    export.save_label_map(records(), tmp_path / "photo_labels.png", SIZE_HW)
    names = json.loads((tmp_path / "photo_labels.json").read_text())
    assert names == {"1": "cat", "2": "object", "3": "dog", "4": "cat"}
    export.save_label_map(records([None]), tmp_path / "other.png", SIZE_HW)
    assert not (tmp_path / "other.json").exists()


def test_overlays_show_the_names(tmp_path):
    grey = np.full((*SIZE_HW, 3), 90, np.uint8)
    plain, named = (export.draw_overlay(grey, records(names)) for names in ([None, None], [None, "cat"]))
    assert np.array_equal(plain[:, 40:], named[:, 40:]) and not np.array_equal(plain, named)


def test_the_categories_of_tracks_are_the_names_of_objects(tmp_path):
    save_tracks([result(0), result(1)], rle=tmp_path / "tracks.json")
    data = COCO(tmp_path / "tracks.json")
    names = {category["id"]: category["name"] for category in data.loadCats(data.getCatIds())}
    found = [(a["track_id"], names[a["category_id"]]) for a in data.loadAnns(data.getAnnIds(imgIds=[1]))]
    assert found == [(1, "cat"), (9, "object"), ("b", "cat")]


def test_a_folder_of_palette_images_has_a_file_of_names(tmp_path):
    writer = PaletteWriter(tmp_path)
    writer.add(result(0, (None, None), (4, 9)))
    assert not (tmp_path / "names.json").exists()
    writer.add(result(1, ("cat", "a dog"), (9, "b")), name="photo")
    assert json.loads((tmp_path / "names.json").read_text()) == {"1": "a dog", "4": "object", "9": "cat"}
    assert set(np.unique(Image.open(tmp_path / "photo.png"))) == {0, 1, 9}


def test_an_overlay_video_shows_the_names(tmp_path):
    frames = [np.full((*SIZE_HW, 3), 120, np.uint8)] * 2
    for name, names in (("a", (None,) * 3), ("b", ("cat", None, None))):
        save_tracks([result(0, names), result(1, names)], frames, video=tmp_path / f"{name}.mp4")
    plain, named = (open_frames(tmp_path / f"{name}.mp4")[1].astype(int) for name in "ab")
    assert np.abs(plain - named)[:, :20].max() > 60 > np.abs(plain - named)[:, 44:].max()


def test_numbers_do_not_change():
    classes = ClassNames(["b"])
    assert [classes.number(name) for name in ("a", "b", None, "a", "")] == [1, 0, 2, 1, 2]
    assert classes.names == ["b", "a", "object"]


def test_written_names_are_read_back(tmp_path):
    names = ["yes", "3", "null", "Kätzchen: klein", "- dog", ""]
    write_yolo_names(tmp_path, names)
    assert read_yolo_names(tmp_path) == names
