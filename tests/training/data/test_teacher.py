"""What the teacher is shown, and that labelling goes on where it stopped."""

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb.structures import ImageFeatures
from sam2nb.training.data import teacher
from sam2nb.training.data.teacher import label_photos, open_labels, square, view_box


def test_the_first_view_is_everything_and_others_are_parts_that_stay_the_same():
    assert view_box("a.jpg", 0, (400, 300)) == (0, 0, 400, 300)
    parts = {view_box(name, view, (400, 300)) for name in ("a.jpg", "b.jpg") for view in (1, 2)}
    assert len(parts) == 4
    for x1, y1, x2, y2 in parts:
        assert 0 <= x1 < x2 <= 400 and 0 <= y1 < y2 <= 300
        assert 0.3 < (x2 - x1) / 400 < 0.75 and 0.3 < (y2 - y1) / 300 < 0.75
    assert view_box("a.jpg", 1, (400, 300)) == view_box("a.jpg", 1, (400, 300))


def test_a_view_shows_its_part_of_the_picture(tmp_path):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "ramp.png")
    x1, _, x2, _ = view_box("ramp.png", 1, (256, 256))
    seen = square(tmp_path / "ramp.png", 64, 1)[0, :, 0].astype(float)
    assert seen[0] == pytest.approx(x1, abs=3) and seen[-1] == pytest.approx(x2, abs=3)


def test_labelling_goes_on_where_it_stopped_and_leaves_out_what_it_cannot_read(tmp_path, monkeypatch):
    looked = []

    def look_at(model, image):
        looked.append(image.shape)
        if len(looked) == 3:
            raise KeyboardInterrupt
        side = teacher.TEACHER_SIDE
        features = ImageFeatures(
            torch.zeros(1, 256, side // 16, side // 16),
            torch.zeros(1),
            (torch.zeros(1, 32, side // 4, side // 4), torch.zeros(1, 64, side // 8, side // 8)),
        )
        return features, np.ones((2, teacher.MASK_SIDE, teacher.MASK_SIDE), bool)

    monkeypatch.setattr(teacher, "look_at", look_at)
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    paths = [tmp_path / "a.jpg", tmp_path / "b.png", tmp_path / "c.png"]
    for path in paths[1:]:
        Image.new("RGB", (90, 60), (10, 20, 30)).save(path)
    with pytest.raises(KeyboardInterrupt):
        label_photos(None, paths, tmp_path / "labels", views=2)
    assert open_labels(tmp_path / "labels").ready().tolist() == [2, 3]
    label_photos(None, paths, tmp_path / "labels", views=2)
    labels = open_labels(tmp_path / "labels")
    assert labels.ready().tolist() == [2, 3, 4, 5] and len(looked) == 5
    assert labels.names == ("a.jpg", "a.jpg#1", "b.png", "b.png#1", "c.png", "c.png#1")
    assert labels.masks_of(4).shape == (2, teacher.MASK_SIDE, teacher.MASK_SIDE)
    with pytest.raises(ValueError, match="other photographs"):
        label_photos(None, paths, tmp_path / "labels", views=3)
