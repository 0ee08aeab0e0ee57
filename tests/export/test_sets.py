"""Files of many images together, read back by pycocotools, supervision, datumaro and Label Studio's converter."""

import json
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from PIL import Image
from pycocotools.coco import COCO

from sam2nb.export.coco_merge import merge_coco
from sam2nb.export.label_studio import save_label_studio
from sam2nb.export.masks import ImageRecords, load_coco_images, save_coco
from sam2nb.export.sets import save_sets
from sam2nb.masks.rle import as_rle, rle_from_mask
from sam2nb.predict.everything.records import record_of_mask
from tests.export.test_yolo import blob

NAMES = ["cat", None, "dog"]


@pytest.fixture
def masks():
    return {"a.png": [blob(0), blob(1)], "pets/b.png": [blob(2)], "pets/none.png": []}


@pytest.fixture
def files(masks, tmp_path):
    """A COCO file for each image, and the images."""
    names, paths = iter(NAMES), []
    for number, (file_name, own) in enumerate(masks.items()):
        named = [{"class_name": name} if (name := next(names)) else {} for _ in own]
        records = [record_of_mask(rle_from_mask(m), track_id=number + 1, **n) for m, n in zip(own, named, strict=True)]
        paths.append(save_coco(records, tmp_path / f"{number}_coco.json", (60, 90), file_name))
        image = tmp_path / "images" / file_name
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((60, 90, 3), np.uint8)).save(image)
    return paths


@pytest.mark.parametrize("kind", ["coco", "polygons"])
def test_coco_files_become_one_that_pycocotools_and_supervision_read(kind, files, masks, tmp_path):
    (path,) = save_sets(files, tmp_path / "out", [kind])
    data = COCO(path)
    truth = [mask for own in masks.values() for mask in own]
    annotations = data.loadAnns(data.getAnnIds())
    assert [np.array_equal(data.annToMask(a), m) for a, m in zip(annotations, truth, strict=True)] == [True] * 3
    assert [data.cats[a["category_id"]]["name"] for a in annotations] == ["cat", "object", "dog"]
    assert [data.imgs[a["image_id"]]["file_name"] for a in annotations] == ["a.png", "a.png", "pets/b.png"]
    assert isinstance(annotations[0]["segmentation"], list) == (kind == "polygons")
    read = sv.DetectionDataset.from_coco(str(tmp_path / "images"), str(path), force_masks=True)
    assert read.classes == ["cat", "object", "dog"] and [len(found) for _, _, found in read] == [2, 1, 0]


def test_simplified_polygons_are_smaller_and_run_lengths_stay_where_they_would_vanish(tmp_path):
    speck = np.zeros((60, 90), bool)
    speck[3, 4] = True
    records = [record_of_mask(rle_from_mask(mask)) for mask in (blob(3), speck)]
    exact, simple = (save_coco(records, tmp_path / f"{t}.json", (60, 90), tolerance=t) for t in (0, 1.5))
    assert simple.stat().st_size < exact.stat().st_size / 2
    first, second = json.loads(simple.read_text())["annotations"]
    assert isinstance(first["segmentation"], list) and second["segmentation"]["counts"]
    assert second["area"] == 1 and load_coco_images(exact)[0].records[1]["area"] == 1


def test_videos_keep_their_frames(files, tmp_path):
    data = json.loads(merge_coco(files, tmp_path / "all.json", ["x", "y", "z"]).read_text())
    assert data["videos"] == [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}, {"id": 3, "name": "z"}]
    assert [(image["video_id"], image["frame_index"]) for image in data["images"]] == [(1, 1), (2, 1), (3, 1)]


def test_a_damaged_file_is_named_and_nothing_is_written(files, tmp_path):
    files[1].write_text('{"images": ')
    with pytest.raises(ValueError, match="1_coco.json' is not a COCO file, or is damaged"):
        merge_coco(files, tmp_path / "all.json")
    assert not (tmp_path / "all.json").exists()


def test_datumaro_reads_the_masks_for_cvat(files, masks, tmp_path):
    datumaro = pytest.importorskip("datumaro")
    (path,) = save_sets(files, tmp_path, ["cvat"])
    read = {item.id: item for item in datumaro.Dataset.import_from(str(path), "cvat")}
    assert set(read) == {"a", "pets/b", "pets/none"}
    for file_name, own in masks.items():
        found = read[str(Path(file_name).with_suffix(""))].annotations
        assert [np.array_equal(a.image, mask) for a, mask in zip(found, own, strict=True)] == [True] * len(own)
    assert [annotation.group for annotation in read["a"].annotations] == [1, 1]


def test_label_studio_reads_its_brush_strokes(files, masks, tmp_path):
    brush = pytest.importorskip("label_studio_converter.brush")
    (path,) = save_sets(files, tmp_path, ["labelstudio"])
    tasks = json.loads(path.read_text())
    assert [task["data"]["image"] for task in tasks] == [f"/data/local-files/?d={name}" for name in masks]
    for task, own in zip(tasks, masks.values(), strict=True):
        results = task["predictions"][0]["result"]
        for result, mask in zip(results, own, strict=True):
            pixels = brush.decode_rle(result["value"]["rle"]).reshape(60, 90, 4)
            assert np.array_equal(pixels[..., 3] > 0, mask) and result["original_width"] == 90
    assert tasks[0]["predictions"][0]["result"][0]["value"]["brushlabels"] == ["cat"]


def test_a_stroke_longer_than_the_longest_run_is_cut(tmp_path):
    brush = pytest.importorskip("label_studio_converter.brush")
    mask = np.ones((300, 200), bool)
    image = ImageRecords([record_of_mask(rle_from_mask(mask), predicted_iou=0.5)], (300, 200), "a.png")
    (task,) = json.loads(save_label_studio([image], tmp_path / "a.json", prefix="https://pictures/").read_text())
    (result,) = task["predictions"][0]["result"]
    assert task["data"]["image"] == "https://pictures/a.png" and result["score"] == 0.5
    assert (brush.decode_rle(result["value"]["rle"]) == 255).all()
    assert save_label_studio([], tmp_path / "none.json").read_text() == "[]\n"


def test_polygons_of_one_image_are_read_back(tmp_path):
    path = save_coco([record_of_mask(rle_from_mask(blob(4)))], tmp_path / "a.json", (60, 90), tolerance=0)
    ((record,), size_hw, _) = load_coco_images(path)[0]
    assert size_hw == (60, 90) and np.array_equal(as_rle(record["segmentation"]).to_mask(), blob(4))
