"""The views the teacher sees, the masks it keeps, and labelling that continues after an interruption."""

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb.structures import ImageFeatures
from sam2nb.training.data import teacher
from sam2nb.training.data.teacher import MAX_MASKS, distinct_masks, label_photos, open_labels, read_view, view_box


def test_the_first_view_is_the_whole_image_and_the_others_are_fixed_parts():
    assert view_box("a.jpg", 0, (400, 300)) == (0, 0, 400, 300)
    parts = {view_box(name, view, (400, 300)) for name in ("a.jpg", "b.jpg") for view in (1, 2)}
    assert len(parts) == 4
    for x1, y1, x2, y2 in parts:
        assert 0 <= x1 < x2 <= 400 and 0 <= y1 < y2 <= 300
        assert 0.3 < (x2 - x1) / 400 < 0.75 and 0.3 < (y2 - y1) / 300 < 0.75
    assert view_box("a.jpg", 1, (400, 300)) == view_box("a.jpg", 1, (400, 300))


def test_a_view_shows_its_part_of_the_image(tmp_path):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "ramp.png")
    x1, _, x2, _ = view_box("ramp.png", 1, (256, 256))
    seen = read_view(tmp_path / "ramp.png", 64, 1)[0, :, 0].astype(float)
    assert seen[0] == pytest.approx(x1, abs=3) and seen[-1] == pytest.approx(x2, abs=3)


def test_labelling_continues_where_it_stopped_and_skips_unreadable_files(tmp_path, monkeypatch):
    labelled = []

    def label_image(model, image):
        labelled.append(image.shape)
        if len(labelled) == 3:
            raise KeyboardInterrupt
        side = teacher.TEACHER_SIDE
        features = ImageFeatures(
            torch.zeros(1, 256, side // 16, side // 16),
            torch.zeros(1),
            (torch.zeros(1, 32, side // 4, side // 4), torch.zeros(1, 64, side // 8, side // 8)),
        )
        return features, np.ones((2, teacher.MASK_SIDE, teacher.MASK_SIDE), bool)

    monkeypatch.setattr(teacher, "label_image", label_image)
    (tmp_path / "a.jpg").write_bytes(b"not an image")
    paths = [tmp_path / "a.jpg", tmp_path / "b.png", tmp_path / "c.png"]
    for path in paths[1:]:
        Image.new("RGB", (90, 60), (10, 20, 30)).save(path)
    with pytest.raises(KeyboardInterrupt):
        label_photos(None, paths, tmp_path / "labels", views=2)
    assert open_labels(tmp_path / "labels").ready().tolist() == [2, 3]
    label_photos(None, paths, tmp_path / "labels", views=2)
    labels = open_labels(tmp_path / "labels")
    assert labels.ready().tolist() == [2, 3, 4, 5] and len(labelled) == 5
    assert labels.names == ("a.jpg", "a.jpg#1", "b.png", "b.png#1", "c.png", "c.png#1")
    assert labels.masks_of(4).shape == (2, teacher.MASK_SIDE, teacher.MASK_SIDE)
    with pytest.raises(ValueError, match="other photographs"):
        label_photos(None, paths, tmp_path / "labels", views=3)


def discs(*radii: float) -> torch.Tensor:
    """Logits of centred discs with steep edges: (N, 64, 64)"""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    distance = ((y - 32) ** 2 + (x - 32) ** 2).sqrt()
    return torch.stack([(radius - distance) * 20 for radius in radii])


def test_of_two_masks_of_one_region_the_better_one_is_kept():
    masks = distinct_masks(discs(8, 8.3, 3), torch.tensor([0.8, 0.9, 0.85]))
    assert [int(mask.sum()) for mask in masks] == [int((disc > 0).sum()) for disc in discs(8.3, 3)]


def test_unsure_unstable_tiny_and_huge_masks_are_dropped():
    logits = torch.cat((discs(8, 0.1, 60), discs(6) / 40))  # confident, tiny, huge, with a blurred edge
    assert len(distinct_masks(logits, torch.tensor([0.9, 0.9, 0.9, 0.9]))) == 1
    assert len(distinct_masks(discs(8), torch.tensor([0.7]))) == 0


def test_no_more_masks_are_kept_than_a_photograph_has_room_for():
    logits = torch.full((40, 40, 40), -9.0)
    for row in range(40):
        logits[row, row, :] = 9
    assert len(distinct_masks(logits, torch.full((40,), 0.9))) == MAX_MASKS


def test_missing_labels_say_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="--prepare"):
        open_labels(tmp_path)
