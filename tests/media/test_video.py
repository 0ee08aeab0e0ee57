"""Frames in and out: folders, files, arrays, iterators, cameras; damaged and odd ones; the writer."""

import struct

import av
import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb.media import video
from sam2nb.media.video import FrameList, Prefetched, iterate_frames, natural_key, open_frames
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.media.video_writer import VideoWriter

SIZE_HW = (48, 64)
COUNT = 40


def picture(index: int, size_hw=SIZE_HW) -> np.ndarray:
    """A white bar that grows by one pixel a frame, red above: says which frame it is, and which way is up."""
    rgb = np.zeros((*size_hw, 3), np.uint8)
    rgb[:, : index + 8] = 255
    rgb[: size_hw[0] // 2, :, 1:] = 0
    return rgb


def bar(rgb: np.ndarray) -> int:
    """The frame's number, read from the picture."""
    return int((rgb[-4, :, 1] > 128).sum()) - 8


def write(path, count=COUNT, fps=12.0):
    with VideoWriter(path, fps) as writer:
        for index in range(count):
            writer.add(picture(index))
    return path


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    return write(tmp_path_factory.mktemp("video") / "clip.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_video_file_gives_back_every_frame_in_any_order(tmp_path, suffix):
    frames = open_frames(write(tmp_path / f"clip{suffix}"))
    assert len(frames) == COUNT and frames.size_hw == SIZE_HW and frames.fps == 12.0
    for index in (0, 1, 39, 5, 6, 30, 31, 12, 0):
        assert abs(bar(frames[index]) - index) <= 1


def test_an_avi_without_usable_time_stamps_is_counted_by_decoding(tmp_path):
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        for index in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode())
    frames = open_frames(path, progress=False)
    assert len(frames) == 20
    assert [abs(bar(frames[i]) - i) <= 1 for i in (19, 3, 4, 0)] == [True] * 4


def test_the_bytes_of_a_file_are_a_video(mp4):
    frames = open_frames(mp4.read_bytes())
    assert len(frames) == COUNT and abs(bar(frames[25]) - 25) <= 1


def test_rotation_in_the_file_is_honoured(mp4, tmp_path):
    data = bytearray(mp4.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the display matrix of the track header
    quarter_turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, SIZE_HW[0] << 16, 0, 1 << 30)  # as a phone held upright writes it
    data[at : at + 36] = struct.pack(">9i", *quarter_turn)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    frames = open_frames(turned)
    assert frames.size_hw == SIZE_HW[::-1]
    upright = np.rot90(frames[20], 1)  # back to how it was written
    assert abs(bar(upright) - 20) <= 1
    assert abs(bar(np.rot90(next(iter(iterate_frames(turned))), 1))) <= 1


def test_a_folder_is_read_in_natural_order(tmp_path):
    for index in (0, 1, 2, 10, 11):
        Image.fromarray(picture(index)).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._frame3.png").write_bytes(b"left behind by a file system")
    frames = open_frames(tmp_path)
    assert [bar(frames[i]) for i in range(len(frames))] == [0, 1, 2, 10, 11]


def test_names_sort_by_their_numbers():
    names = ["10.jpg", "a2.jpg", "9.jpg", "a10.jpg", "007.jpg"]
    assert sorted(names, key=natural_key) == ["007.jpg", "9.jpg", "10.jpg", "a2.jpg", "a10.jpg"]


def test_a_folder_is_not_decoded_before_a_frame_is_asked_for(tmp_path, monkeypatch):
    for index in range(5):
        Image.fromarray(picture(index)).save(tmp_path / f"{index}.png")
    decoded = []
    real = video.to_rgb_uint8
    monkeypatch.setattr(video, "to_rgb_uint8", lambda image: decoded.append(image) or real(image))
    frames = open_frames(tmp_path)
    assert len(decoded) == 1  # the first, for its size
    assert bar(frames[3]) == 3 and len(decoded) == 2


@pytest.mark.parametrize(
    "frames",
    [
        np.stack([picture(i) for i in range(3)]),
        [picture(i) for i in range(3)],
        [Image.fromarray(picture(i)) for i in range(3)],
        torch.from_numpy(np.stack([picture(i) for i in range(3)]).transpose(0, 3, 1, 2).copy()),
        (picture(i) for i in range(3)),
        iter([picture(i).astype(np.float32) / 255 for i in range(3)]),
    ],
    ids=["array", "list", "PIL", "tensor", "generator", "floats"],
)
def test_frames_in_memory_are_a_video(frames):
    source = open_frames(frames, progress=False)
    assert len(source) == 3 and source.size_hw == SIZE_HW
    assert source[1].dtype == np.uint8 and bar(source[1]) == 1


def test_grey_frames_are_a_video():
    assert open_frames(np.zeros((4, *SIZE_HW), np.uint8)).size_hw == SIZE_HW


def test_a_source_of_your_own_is_taken_as_it_is():
    mine = FrameList([picture(0)])
    assert open_frames(mine) is mine


def test_a_prefetched_source_gives_the_same_frames_forwards_and_backwards(mp4):
    ahead = Prefetched(open_frames(mp4))
    assert ahead.size_hw == SIZE_HW and len(ahead) == COUNT
    for order in (range(6), range(20, 14, -1), (3, 30, 2)):
        assert all(abs(bar(ahead[i]) - i) <= 1 for i in order)


def test_a_stream_of_a_file_reads_every_frame_once(mp4):
    assert [abs(bar(rgb) - i) <= 1 for i, rgb in enumerate(iterate_frames(mp4))] == [True] * COUNT
    assert len(list(iterate_frames([picture(0), picture(1)]))) == 2


class Camera:
    """In the place of OpenCV's camera: three frames, then unplugged."""

    def __init__(self, index):
        self.index, self.left, self.released = index, 3, False

    def isOpened(self):
        return self.index == 0

    def read(self):
        self.left -= 1
        return (True, picture(5)[..., ::-1].copy()) if self.left >= 0 else (False, None)

    def release(self):
        self.released = True


def test_a_camera_is_read_in_rgb_until_it_stops(monkeypatch):
    monkeypatch.setattr(video.cv2, "VideoCapture", Camera)
    frames = list(iterate_frames(0))
    assert len(frames) == 3 and np.array_equal(frames[0], picture(5))
    with pytest.raises(OSError, match="camera 7"):
        list(iterate_frames(7))


# --- what is wrong is said -------------------------------------------------------------------------------------------


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(ValueError, match="holds no pictures"):
        open_frames(tmp_path)


def test_a_missing_path_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        open_frames(tmp_path / "nowhere.mp4")


def test_a_file_that_is_not_a_video_says_so(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("this is not a video" * 100)
    with pytest.raises(ValueError, match="not a video"):
        open_frames(path)


def test_a_sound_file_says_that_it_has_no_pictures(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ValueError, match="no picture track"):
        open_frames(path)


def noisy(index: int) -> np.ndarray:
    """As `picture`, with noise on top, so that every frame takes its share of the file."""
    rgb = picture(index)
    rgb[: SIZE_HW[0] // 2] = np.random.default_rng(index).integers(0, 255, (SIZE_HW[0] // 2, SIZE_HW[1], 3))
    return rgb


def test_a_truncated_file_gives_what_decodes_and_says_where_it_ends(tmp_path, caplog):
    with VideoWriter(tmp_path / "whole.mp4") as writer:
        for index in range(COUNT):
            writer.add(noisy(index))
    data = (tmp_path / "whole.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * 0.6)])  # the index stands first, so the file opens
    frames = open_frames(cut)
    assert 10 < len(frames) < COUNT
    assert f"cut.mp4 ends early: {len(frames)} of {COUNT} frames" in caplog.text
    good = 0
    try:
        for index in range(len(frames)):
            assert abs(bar(frames[index]) - index) <= 3
            good += 1
    except VideoEndedEarly as end:  # the very last ones may lack a neighbour they were coded against
        assert end.index == good
    assert good > len(frames) - 5
    assert abs(bar(frames[2]) - 2) <= 3  # what decodes is still there


def test_a_hole_in_a_file_is_bridged_and_said(tmp_path, caplog):
    with VideoWriter(tmp_path / "whole.mp4") as writer:
        for index in range(COUNT):
            writer.add(noisy(index))
    frames = open_frames(tmp_path / "whole.mp4")
    real = frames._times
    frames._times = sorted([*real, real[20] + 1])  # a frame that the scan saw and the decoder cannot give
    frames._count += 1
    assert frames[21].shape == (*SIZE_HW, 3)
    assert "frame 21 is damaged, frame 22 stands in for it" in caplog.text


def test_a_file_whose_end_does_not_decode_ends_there(mp4):
    frames = open_frames(mp4)
    frames._times = [*frames._times, frames._times[-1] + 10_000]
    frames._count += 1
    assert abs(bar(frames[COUNT - 1]) - COUNT + 1) <= 1
    with pytest.raises(VideoEndedEarly, match=f"{COUNT} of {COUNT + 1} frames"):
        frames[COUNT]
    assert abs(bar(frames[3]) - 3) <= 1


def test_a_file_cut_before_its_index_says_so(tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(write(tmp_path / "whole.mp4").read_bytes()[:200])
    with pytest.raises(ValueError, match="cut off|damaged"):
        open_frames(path)


def test_pictures_of_several_sizes_say_which_one(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "0.png")
    Image.fromarray(picture(1, (40, 64))).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"frame 1 \(1.png\) is 64x40, the first one 64x48"):
        open_frames(tmp_path)
    with pytest.raises(ValueError, match="frame 1 is 64x40"):
        open_frames([picture(0), picture(1, (40, 64))])
    lazy = open_frames([Image.fromarray(picture(0)), Image.fromarray(picture(1, (40, 64)))])
    with pytest.raises(ValueError, match="frame 1 is 64x40"):
        lazy[1]


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (0, "stream"),
        ([], "no frames"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no frames"),
        (np.zeros((4, 4, 3), np.uint8), "one picture"),
        (np.zeros(4), "shape"),
        (object(), "must be a folder"),
        ("rtsp://somewhere", "never ends"),
    ],
)
def test_what_is_no_clip_is_refused(thing, message):
    with pytest.raises((TypeError, ValueError), match=message):
        open_frames(thing)


def test_a_frame_beyond_the_end_does_not_exist(mp4):
    with pytest.raises(IndexError, match="the video has 40"):
        open_frames(mp4)[40]


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_written_mp4_plays_in_a_browser(mp4):
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
    data = mp4.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # the index first: plays while it loads


def test_odd_sides_are_padded_by_one_pixel(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4", 10) as writer:
        writer.add(picture(3, (33, 47)))
    assert open_frames(tmp_path / "odd.mp4").size_hw == (34, 48)


def test_the_writer_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(ValueError, match=r"\.mp4"):
        VideoWriter(tmp_path / "clip.gif")
    with pytest.raises(ValueError, match="fps"):
        VideoWriter(tmp_path / "clip.mp4", 0)
    with VideoWriter(tmp_path / "clip.mp4") as writer:
        writer.add(picture(0))
        with pytest.raises(ValueError, match="frames before"):
            writer.add(picture(0, (10, 10)))
