"""Frame sources: folders, arrays, iterators, cameras; and sources that are refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb.media import video
from sam2nb.media.video import FrameList, Prefetched, iterate_frames, open_frames
from tests.media.clips import COUNT, SIZE_HW, Camera, frame, number_of


def test_a_folder_is_read_in_natural_order(tmp_path):
    for index in (0, 1, 2, 10, 11):
        Image.fromarray(frame(index)).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._frame3.png").write_bytes(b"left behind by a file system")
    frames = open_frames(tmp_path)
    assert [number_of(frames[i]) for i in range(len(frames))] == [0, 1, 2, 10, 11]


def test_a_folder_is_not_decoded_before_a_frame_is_read(tmp_path, monkeypatch):
    for index in range(5):
        Image.fromarray(frame(index)).save(tmp_path / f"{index}.png")
    decoded = []
    real = video.to_rgb_uint8
    monkeypatch.setattr(video, "to_rgb_uint8", lambda image: decoded.append(image) or real(image))
    frames = open_frames(tmp_path)
    assert len(decoded) == 1  # the first, for its size
    assert number_of(frames[3]) == 3 and len(decoded) == 2


@pytest.mark.parametrize(
    "frames",
    [
        np.stack([frame(i) for i in range(3)]),
        [frame(i) for i in range(3)],
        [Image.fromarray(frame(i)) for i in range(3)],
        torch.from_numpy(np.stack([frame(i) for i in range(3)]).transpose(0, 3, 1, 2).copy()),
        (frame(i) for i in range(3)),
        iter([frame(i).astype(np.float32) / 255 for i in range(3)]),
    ],
    ids=["array", "list", "PIL", "tensor", "generator", "floats"],
)
def test_frames_in_memory_are_a_video(frames):
    source = open_frames(frames, progress=False)
    assert len(source) == 3 and source.size_hw == SIZE_HW
    assert source[1].dtype == np.uint8 and number_of(source[1]) == 1


def test_grey_frames_are_a_video():
    assert open_frames(np.zeros((4, *SIZE_HW), np.uint8)).size_hw == SIZE_HW


def test_a_source_of_your_own_is_returned_as_it_is():
    mine = FrameList([frame(0)])
    assert open_frames(mine) is mine


def test_a_prefetched_source_gives_the_same_frames_forwards_and_backwards(mp4):
    ahead = Prefetched(open_frames(mp4))
    assert ahead.size_hw == SIZE_HW and len(ahead) == COUNT
    for order in (range(6), range(20, 14, -1), (3, 30, 2)):
        assert all(abs(number_of(ahead[i]) - i) <= 1 for i in order)


def test_a_list_of_frames_can_be_iterated_over():
    assert [number_of(rgb) for rgb in iterate_frames([frame(0), frame(1)])] == [0, 1]


def test_a_camera_is_read_in_rgb_until_it_stops(monkeypatch):
    monkeypatch.setattr(video.cv2, "VideoCapture", Camera)
    frames = list(iterate_frames(0))
    assert len(frames) == 3 and np.array_equal(frames[0], frame(5))
    with pytest.raises(OSError, match="camera 7"):
        list(iterate_frames(7))


# --- errors -----------------------------------------------------------------------------------------------------------


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="has no images"):
        open_frames(tmp_path)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        open_frames(tmp_path / "nowhere.mp4")


def test_the_first_frame_of_another_size_is_named(tmp_path):
    Image.fromarray(frame(0)).save(tmp_path / "0.png")
    Image.fromarray(frame(1, (40, 64))).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"frame 1 \(1.png\) is 64x40, the first one 64x48"):
        open_frames(tmp_path)
    with pytest.raises(ValueError, match="frame 1 is 64x40"):
        open_frames([frame(0), frame(1, (40, 64))])
    lazy = open_frames([Image.fromarray(frame(0)), Image.fromarray(frame(1, (40, 64)))])
    with pytest.raises(ValueError, match="frame 1 is 64x40"):
        lazy[1]


@pytest.mark.parametrize(
    ("not_a_clip", "message"),
    [
        (0, "stream"),
        ([], "no frames"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no frames"),
        (np.zeros((4, 4, 3), np.uint8), "single image"),
        (np.zeros(4), "shape"),
        (object(), "must be a folder"),
        ("rtsp://somewhere", "never ends"),
    ],
)
def test_anything_else_is_refused(not_a_clip, message):
    with pytest.raises((TypeError, ValueError), match=message):
        open_frames(not_a_clip)


@pytest.mark.parametrize("path", ["", "a" * 300 + ".mp4"], ids=["empty", "too long"])
def test_a_path_that_cannot_be_is_refused_by_name(path):
    with pytest.raises((ValueError, FileNotFoundError), match="video"):
        open_frames(path)
