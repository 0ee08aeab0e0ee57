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


def test_yolo_outlines_are_read_back_where_masks_have_no_holes(tmp_path):
    masks = [rectangle((90, 140), 10, 20, 60, 50), rectangle((90, 140), 100, 60, 140, 90)]
    masks[0][30:35, 60:70] = True
    records = [{"segmentation": mask} for mask in masks]
    path = export.save_yolo(records, tmp_path / "photo.txt", class_id=3)
    back = export.load_yolo(path, (90, 140))
    assert [r["class_id"] for r in back] == [3, 3]
    for record, mask in zip(back, masks, strict=True):
        assert np.array_equal(as_rle(record["segmentation"]).to_mask(), mask)


def test_damaged_yolo_lines_are_refused_by_number(tmp_path):
    path = tmp_path / "photo.txt"
    for wrong in ("0 0.1 0.2 0.3", "cat 0.1 0.2 0.3 0.4 0.5 0.6", "0 0.1 0.1 0.5 0.5", "0 0.1 0.2 1.3 0.4 0.5 0.6"):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="line 1"):
            export.load_yolo(path, (10, 10))


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
    with pytest.raises(ValueError, match="formats must be some of coco, yolo, labels, overlay, got gif"):
        export.check_formats(["coco", "gif"])


def test_parts_without_an_outline_are_left_out_of_yolo_labels(tmp_path):
    speck = rectangle((20, 30), 4, 4, 5, 5)
    assert export.save_yolo([{"segmentation": speck}], tmp_path / "speck.txt").read_text() == ""
    assert export.load_yolo(tmp_path / "speck.txt", (20, 30)) == []


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
    names = ["photo_coco.json", "photo.txt", "photo_labels.png", "photo_overlay.jpg"]
    assert [path.name for path in paths] == names and all(path.is_file() for path in paths)
    assert export.load_coco(paths[0])[1] == noise.shape[:2]
