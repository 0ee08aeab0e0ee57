"""The images that every contestant gets."""

from itertools import islice

import numpy as np
from PIL import Image

from sam2nb.evaluation.benchmarks.scene import boxes, clip_frames, photo, write_clip
from sam2nb.evaluation.benchmarks.setting import Workload

SMALL = Workload(photo_hw=(30, 40), clip_hw=(480, 854))


def test_the_photograph_is_the_same_every_time():
    assert photo(SMALL).shape == (30, 40, 3) and np.array_equal(photo(SMALL), photo(SMALL))


def test_an_image_file_is_resized_to_the_photograph(tmp_path):
    Image.new("RGB", (7, 9), (10, 200, 30)).save(tmp_path / "green.png")
    image = photo(Workload(photo_hw=(30, 40), image=str(tmp_path / "green.png")))
    assert image.shape == (30, 40, 3) and (image == (10, 200, 30)).all()


def test_the_clip_has_as_many_frames_as_asked_and_they_move(tmp_path):
    assert len(list(write_clip(tmp_path / "clip", SMALL, 3).iterdir())) == 3
    first, second = islice(clip_frames(SMALL), 2)
    assert first.shape == (480, 854, 3) and not np.array_equal(first, second)


def test_boxes_are_side_by_side_inside_the_clip():
    corners = boxes(SMALL, 3)
    assert corners.shape == (3, 4) and (np.diff(corners[:, 0]) > 0).all()
    assert corners.min() >= 0 and corners[:, 2].max() <= 854 and corners[:, 3].max() <= 480
