"""YOLO labels of images and of videos, written and read back."""

import cv2
import numpy as np
import pytest
import supervision as sv
import torch
from PIL import Image

from sam2nb.export import masks as export
from sam2nb.export.tracks import save_tracks
from sam2nb.masks.rle import as_rle
from sam2nb.predict.video.session import FrameResult
from tests.mask_cases import rectangle

SIZE_HW = (60, 90)


def test_outlines_are_read_back_and_those_of_other_classes_keep_their_number(tmp_path):
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


def blob(seed: int, size_hw=SIZE_HW) -> np.ndarray:
    """A mask with holes and islands."""
    return cv2.blur(np.random.default_rng(seed).random(size_hw), (9, 9)) > 0.5


def union(records) -> np.ndarray:
    return np.any([as_rle(record["segmentation"]).to_mask() for record in records], axis=0)


@pytest.mark.parametrize("seed", range(8))
def test_holes_and_islands_are_kept(seed, tmp_path):
    mask = blob(seed)
    path = export.save_yolo([{"segmentation": mask}], tmp_path / "photo.txt")
    differing = union(export.load_yolo(path, SIZE_HW)) != mask
    assert differing.sum() <= 3  # a cut to a hole may pass a corner of another


def test_single_pixels_are_kept_and_a_tolerance_saves_corners(tmp_path):
    speck, line = rectangle((20, 30), 4, 4, 5, 5), rectangle((20, 30), 10, 2, 11, 9)
    path = export.save_yolo([{"segmentation": speck}, {"segmentation": line}], tmp_path / "specks.txt")
    back = export.load_yolo(path, (20, 30))
    assert np.array_equal(union(back[:1]), speck) and np.array_equal(union(back[1:]), line)
    rows, columns = np.mgrid[:60, :90]
    disc = np.hypot(rows - 30, columns - 45) < 25
    exact, simple = (
        export.save_yolo([{"segmentation": disc}], tmp_path / "d.txt", tolerance=t).read_text() for t in (0, 2)
    )
    assert len(simple) < len(exact) / 3


def test_a_video_becomes_a_data_set_that_supervision_reads(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (2, *SIZE_HW, 3), np.uint8)
    cat, dog = rectangle(SIZE_HW, 10, 5, 40, 30), rectangle(SIZE_HW, 50, 20, 80, 55)
    dog[30:40, 60:70] = False
    results = [
        FrameResult(index, [1, "b"], torch.from_numpy(np.stack(masks))[:, None].float() - 0.5, names=["cat", None])
        for index, masks in enumerate([(cat, dog), (np.zeros_like(cat), dog)])
    ]
    assert save_tracks(results, frames, yolo=tmp_path / "set") == 2
    data = sv.DetectionDataset.from_yolo(
        str(tmp_path / "set" / "images"), str(tmp_path / "set" / "labels"), str(tmp_path / "set" / "data.yaml"), True
    )
    assert data.classes == ["cat", "object"]
    (first, image, found), (_, _, last) = sorted(data, key=lambda entry: entry[0])
    assert first.endswith("00000.jpg") and image.shape == frames[0].shape
    assert found.class_id.tolist() == [0, 1] and last.class_id.tolist() == [1]
    for mask, truth in zip(found.mask, (cat, dog), strict=True):
        assert (mask != truth).mean() < 0.01
    assert Image.open(first).size == SIZE_HW[::-1]
    with pytest.raises(ValueError, match="frames are needed to draw a video or to write YOLO data"):
        save_tracks(results, yolo=tmp_path / "none")
