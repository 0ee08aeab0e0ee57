"""Written videos: playable in a browser, of even sides, with clear errors."""

import av
import numpy as np
import pytest

from sam2nb.media.video import open_frames
from sam2nb.media.video_writer import VideoWriter
from tests.faults import disk_of
from tests.media.clips import frame


def test_a_written_mp4_plays_in_a_browser(mp4):
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
    data = mp4.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # the index first: plays while it loads


def test_odd_sides_are_padded_by_one_pixel(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4", 10) as writer:
        writer.add(frame(3, (33, 47)))
    assert open_frames(tmp_path / "odd.mp4").size_hw == (34, 48)


def test_unknown_endings_bad_rates_and_frames_of_another_size_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.mp4"):
        VideoWriter(tmp_path / "clip.gif")
    with pytest.raises(ValueError, match="fps"):
        VideoWriter(tmp_path / "clip.mp4", 0)
    with VideoWriter(tmp_path / "clip.mp4") as writer:
        writer.add(frame(0))
        with pytest.raises(ValueError, match="frames before"):
            writer.add(frame(0, (10, 10)))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_file_appears_when_it_is_closed_and_the_old_one_stays_until_then(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(b"older")
    writer = VideoWriter(path)
    writer.add(frame(0))
    assert path.read_bytes() == b"older"
    writer.close()
    writer.close()
    assert len(open_frames(path)) == 1 and list(tmp_path.iterdir()) == [path]


def test_an_error_between_two_frames_leaves_the_frames_before_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "clip.mp4") as writer:
        writer.add(frame(0))
        raise KeyboardInterrupt
    assert len(open_frames(tmp_path / "clip.mp4")) == 1


def test_without_a_frame_there_is_no_file(tmp_path):
    VideoWriter(tmp_path / "clip.mp4").close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_in_words_and_leaves_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    with pytest.raises(OSError, match=r"clip\.mp4 cannot be written: is the disk full"), disk_of(4096):  # noqa: SIM117
        with VideoWriter(tmp_path / "clip.mp4") as writer:
            for _ in range(30):
                writer.add(noise)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1, float("inf"), float("nan")])
def test_a_rate_that_is_no_positive_number_is_refused(tmp_path, fps):
    with pytest.raises(ValueError, match="fps must be positive"):
        VideoWriter(tmp_path / "clip.mp4", fps)
    assert list(tmp_path.iterdir()) == []


def test_a_larger_crf_makes_a_smaller_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    for name, crf in (("usual", None), ("coarse", 40)):
        with VideoWriter(tmp_path / f"{name}.mp4", crf=crf) as writer:
            for rgb in noise:
                writer.add(rgb)
    assert (tmp_path / "coarse.mp4").stat().st_size < (tmp_path / "usual.mp4").stat().st_size / 2
    with pytest.raises(ValueError, match="crf must be 0 to 51, got 60"):
        VideoWriter(tmp_path / "clip.mp4", crf=60)
