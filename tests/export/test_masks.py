"""Masks of everything mode as files, written and read back."""

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sam2nb.export import masks as export
from sam2nb.masks.rle import as_rle
from tests.mask_cases import rectangle, same_records


def test_coco_files_are_read_back_and_understood_by_pycocotools(open_records, noise, tmp_path):
    path = export.save_coco(open_records, tmp_path / "new" / "masks.json", noise.shape[:2], "photo.jpg")
    records, size_hw = export.load_coco(path)
    assert size_hw == noise.shape[:2] and same_records(records, open_records)
    data = COCO(path)
    assert [data.annToMask(a).sum() for a in data.loadAnns(data.getAnnIds())] == [r["area"] for r in open_records]


def test_coco_polygons_of_other_programs_are_read(tmp_path):
    path = tmp_path / "other.json"
    path.write_text(
        '{"images": [{"id": 7, "height": 20, "width": 30}], "annotations": [{"image_id": 7, "segmentation": '
        "[[2, 2, 12, 2, 12, 10, 2, 10]]}]}"
    )
    (record,), size_hw = export.load_coco(path)
    assert size_hw == (20, 30) and record["area"] == 80 and "predicted_iou" not in record


@pytest.mark.parametrize("count", [3, 300])
def test_label_maps_are_read_back(count, tmp_path):
    masks = [rectangle((40, 50), i % 50, i // 50 * 3, i % 50 + 1, i // 50 * 3 + 2) for i in range(count)]
    masks[0] = np.ones((40, 50), dtype=bool)
    path = export.save_label_map([{"segmentation": mask} for mask in masks], tmp_path / "labels.png", (40, 50))
    back = export.load_label_map(path)
    assert [record["label"] for record in back] == list(range(1, count + 1))
    assert np.array_equal(as_rle(back[1]["segmentation"]).to_mask(), masks[1])
    assert back[0]["area"] == 2000 - 2 * (count - 1)  # the large mask is below the others


def test_overlays_have_the_size_of_the_image(open_records, noise, tmp_path):
    drawn = export.draw_overlay(noise, open_records)
    assert drawn.shape == noise.shape and drawn.dtype == np.uint8 and not np.array_equal(drawn, noise)
    assert np.array_equal(export.draw_overlay(noise, []), noise)
    assert export.save_overlay(noise, open_records, tmp_path / "o.jpg").stat().st_size > 500
    with pytest.raises(ValueError, match="path must end in"):
        export.save_overlay(noise, open_records, tmp_path / "o.txt")


def test_detections_keep_order_and_scores(open_records):
    detections = export.to_detections(open_records)
    assert detections.mask.sum(axis=(1, 2)).tolist() == [record["area"] for record in open_records]
    assert detections.confidence == pytest.approx([record["predicted_iou"] for record in open_records])
    assert len(export.to_detections([])) == 0


def test_unknown_formats_are_refused_by_name():
    with pytest.raises(ValueError, match="formats must be some of coco, yolo, labels, overlay, geojson, got gif"):
        export.check_formats(["coco", "gif"])


def test_files_of_another_kind_are_refused(tmp_path, noise):
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ValueError, match="not a COCO file"):
        export.load_coco(tmp_path / "x.json")
    Image.fromarray(noise).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="not a label map"):
        export.load_label_map(tmp_path / "photo.png")


def test_each_format_becomes_a_file_named_after_the_image(open_records, noise, tmp_path):
    Image.fromarray(noise).save(tmp_path / "photo.png")
    paths = export.save_formats(open_records, tmp_path / "photo.png", tmp_path / "out", export.FORMATS)
    names = ["photo_coco.json", "photo.txt", "photo_labels.png", "photo_overlay.jpg", "photo.geojson"]
    assert [path.name for path in paths] == names and all(path.is_file() for path in paths)
    assert export.load_coco(paths[0])[1] == noise.shape[:2]
