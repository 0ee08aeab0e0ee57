"""Every layout, written to a folder and read back; every broken sample, named."""

import json

import numpy as np
import pytest
from PIL import Image

from sam2nb.evaluation.datasets import open_clips, open_images
from sam2nb.evaluation.samples import SampleError

SIZE_HW = (24, 32)


def save_image(path, size_hw=SIZE_HW):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size_hw, 3), 90, np.uint8)).save(path)


def save_mask(path, values=(255,), size_hw=SIZE_HW):
    """A label map with one 6x6 square per value, side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.zeros(size_hw, np.uint8)
    for i, value in enumerate(values):
        labels[4:10, 2 + 8 * i : 8 + 8 * i] = value
    Image.fromarray(labels).save(path)


def test_folder_with_images_and_masks_gives_one_mask_per_value(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    save_mask(tmp_path / "masks" / "a.png", values=(1, 2, 7))
    (sample,) = open_images(tmp_path)
    assert sample.image.shape == (*SIZE_HW, 3) and sample.masks.shape == (3, *SIZE_HW)
    assert [int(m.sum()) for m in sample.masks] == [36, 36, 36]


@pytest.mark.parametrize("mask", ["a_1.png", "a_mask.png", "a/left.png"])
def test_images_and_masks_may_share_a_folder_under_the_usual_names(tmp_path, mask):
    save_image(tmp_path / "a.jpg")
    save_mask(tmp_path / mask)
    data = open_images(tmp_path)
    assert data.names == ("a.jpg",)
    assert data.load("a.jpg").masks.sum() == 36


def test_small_objects_are_left_out_on_request(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    save_mask(tmp_path / "masks" / "a.png")
    assert len(open_images(tmp_path, min_area=36).load("a.jpg").masks) == 0
    assert len(open_images(tmp_path, min_area=35).load("a.jpg").masks) == 1


def test_a_missing_mask_and_a_wrong_size_are_named_and_leave_the_others_readable(tmp_path):
    for name in "abc":
        save_image(tmp_path / "images" / f"{name}.jpg")
    save_mask(tmp_path / "masks" / "a.png")
    save_mask(tmp_path / "masks" / "b.png", size_hw=(10, 40))
    data = open_images(tmp_path)
    assert len(data.load("a.jpg").masks) == 1
    with pytest.raises(SampleError, match=r"b\.png: mask is \(10, 40\), its image \(24, 32\)"):
        data.load("b.jpg")
    with pytest.raises(SampleError, match=r"no mask for c\.jpg"):
        data.load("c.jpg")


def test_empty_and_absent_folders_raise_clear_errors(tmp_path):
    with pytest.raises(ValueError, match="no image in"):
        open_images(tmp_path)
    with pytest.raises(ValueError, match="no labelled clip in"):
        open_clips(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        open_images(tmp_path / "nowhere")
    save_image(tmp_path / "single.jpg")
    with pytest.raises(ValueError, match="path must be a folder of images with masks or a COCO .json, got the file"):
        open_images(tmp_path / "single.jpg")


def test_coco_polygons_and_run_lengths_are_read_without_crowds_and_small_objects(tmp_path):
    save_image(tmp_path / "a.jpg")
    height, width = SIZE_HW
    common = {"image_id": 1, "category_id": 3, "iscrowd": 0}
    annotations = [
        {**common, "id": 1, "area": 100, "segmentation": [[2, 2, 12, 2, 12, 12, 2, 12]]},
        {
            **common,
            "id": 2,
            "area": 24,
            "segmentation": {"size": [height, width], "counts": [0, 24, height * width - 24]},
        },
        {**common, "id": 3, "area": 500, "iscrowd": 1, "segmentation": {"size": [height, width], "counts": [0, 500]}},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": height, "width": width}],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    (sample,) = open_images(tmp_path)
    assert sample.labels == ("cat", "cat") and [int(m.sum()) for m in sample.masks] == [100, 24]
    assert len(open_images(tmp_path / "instances.json", min_area=50).load("a.jpg").masks) == 1


def test_clip_folders_read_binary_and_label_masks(tmp_path):
    for i in range(3):
        save_image(tmp_path / "dog" / "frames" / f"{i:05}.jpg")
        save_mask(tmp_path / "dog" / "masks" / f"{i:05}.png", values=(255,))
    (clip,) = open_clips(tmp_path)
    assert (clip.name, clip.annotated) == ("dog", {255: (0, 1, 2)})
    assert clip.mask(1, 255).sum() == 36 and clip.first_frame_of(255) == 0


def test_davis_layout_gives_one_object_per_palette_value(tmp_path):
    for i in range(2):
        save_image(tmp_path / "JPEGImages" / "480p" / "swan" / f"{i:05}.jpg")
        save_mask(tmp_path / "Annotations" / "480p" / "swan" / f"{i:05}.png", values=(1, 2))
    (clip,) = open_clips(tmp_path)
    assert clip.name == "swan" and clip.objects == (1, 2) and clip.mask(1, 2).sum() == 36


def test_sav_layout_has_a_folder_per_object_and_masks_on_some_frames_only(tmp_path):
    for i in range(9):
        save_image(tmp_path / "JPEGImages_24fps" / "sav_1" / f"{i:05}.jpg")
    for i in (0, 4, 8):
        save_mask(tmp_path / "Annotations_6fps" / "sav_1" / "000" / f"{i:05}.png")
    save_mask(tmp_path / "Annotations_6fps" / "sav_1" / "001" / "00004.png")
    (clip,) = open_clips(tmp_path)
    assert clip.annotated == {0: (0, 4, 8), 1: (4,)}
    assert (clip.first_frame_of(0), clip.first_frame_of(1)) == (0, 4)
    assert clip.mask(4, 1).sum() == 36
    with pytest.raises(SampleError, match="frame 0 has no mask of object 1"):
        clip.mask(0, 1)
