"""Written videos: playable in a browser, of even sides, with clear errors."""

import av
import pytest

from sam2nb.media.video import open_frames
from sam2nb.media.video_writer import VideoWriter
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
