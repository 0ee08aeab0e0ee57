"""Video files: every frame by its number, rotated, damaged, truncated, or not a video at all."""

import copy
import io
import os
import pickle
import shutil
import struct

import av
import numpy as np
import pytest

from sam2nb.media import video_file
from sam2nb.media.video import Prefetched, iterate_frames, open_frames
from sam2nb.media.video_file import VideoEndedEarly
from tests.media.clips import COUNT, SIZE_HW, frame, noisy_frame, number_of, write_clip


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_video_file_gives_every_frame_in_any_order(tmp_path, suffix):
    frames = open_frames(write_clip(tmp_path / f"clip{suffix}"))
    assert len(frames) == COUNT and frames.size_hw == SIZE_HW and frames.fps == 12.0
    for index in (0, 1, 39, 5, 6, 30, 31, 12, 0):
        assert abs(number_of(frames[index]) - index) <= 1


def test_an_avi_without_usable_time_stamps_is_counted_by_decoding(tmp_path):
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        for index in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(index), format="rgb24")))
        container.mux(stream.encode())
    frames = open_frames(path, progress=False)
    assert len(frames) == 20
    assert [abs(number_of(frames[i]) - i) <= 1 for i in (19, 3, 4, 0)] == [True] * 4


def test_the_bytes_of_a_file_are_a_video(mp4):
    frames = open_frames(mp4.read_bytes())
    assert len(frames) == COUNT and abs(number_of(frames[25]) - 25) <= 1


@pytest.mark.parametrize("kind", [bytearray, io.BytesIO])
def test_bytes_of_other_kinds_are_a_video(mp4, kind):
    assert len(open_frames(kind(mp4.read_bytes()))) == COUNT


def test_an_open_file_is_a_video(mp4):
    with open(mp4, "rb") as file:
        assert len(open_frames(file)) == COUNT
        file.seek(0)
        assert len(list(iterate_frames(file))) == COUNT


@pytest.mark.parametrize("name", ["12:30.mp4", "http:x.mp4", "concat:c.mp4"])
def test_a_colon_in_a_name_is_no_protocol(mp4, tmp_path, monkeypatch, name):
    shutil.copy(mp4, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(open_frames(name)) == COUNT
    assert len(list(iterate_frames(name))) == COUNT


@pytest.mark.parametrize("open_it", [lambda path: open_frames(path), lambda path: Prefetched(open_frames(path))])
def test_an_open_video_can_be_copied_pickled_and_forked(mp4, open_it):
    frames = open_it(mp4)
    expected = np.array(frames[20])
    for other in (copy.deepcopy(frames), pickle.loads(pickle.dumps(frames))):
        assert np.array_equal(other[20], expected) and len(other) == COUNT
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(frames[20], expected) and number_of(frames[38]) >= 37 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_playlist_without_an_end_is_refused_in_time(mp4, tmp_path, monkeypatch):
    with av.open(str(mp4)) as source, av.open(str(tmp_path / "a.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    (tmp_path / "live.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:3.3,\na.ts\n")
    monkeypatch.setattr(video_file, "STALL_SECONDS", 0.5)
    with pytest.raises(ValueError, match="'live.m3u8' is a playlist that does not say where it ends"):
        open_frames(tmp_path / "live.m3u8")


def test_rotation_in_the_file_is_applied(mp4, tmp_path):
    data = bytearray(mp4.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the display matrix of the track header
    quarter_turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, SIZE_HW[0] << 16, 0, 1 << 30)  # as a phone held upright writes it
    data[at : at + 36] = struct.pack(">9i", *quarter_turn)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    frames = open_frames(turned)
    assert frames.size_hw == SIZE_HW[::-1]
    upright = np.rot90(frames[20], 1)  # back to how it was written
    assert abs(number_of(upright) - 20) <= 1
    assert abs(number_of(np.rot90(next(iter(iterate_frames(turned))), 1))) <= 1


def test_iterating_over_a_file_reads_every_frame_once(mp4):
    assert [abs(number_of(rgb) - i) <= 1 for i, rgb in enumerate(iterate_frames(mp4))] == [True] * COUNT


def test_a_frame_beyond_the_end_does_not_exist(mp4):
    with pytest.raises(IndexError, match="the video has 40"):
        open_frames(mp4)[40]


# --- damaged files ----------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_a_video_is_named(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("this is not a video" * 100)
    with pytest.raises(ValueError, match="not a video"):
        open_frames(path)


def test_a_sound_file_has_no_video_track(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(ValueError, match="no video track"):
        open_frames(path)


def test_a_truncated_file_gives_the_frames_that_decode_and_says_where_it_ends(tmp_path, caplog):
    data = write_clip(tmp_path / "whole.mp4", noisy_frame).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * 0.6)])  # the index comes first, so the file opens
    frames = open_frames(cut)
    assert 10 < len(frames) < COUNT
    assert f"cut.mp4 ends early: {len(frames)} of {COUNT} frames" in caplog.text
    good = 0
    try:
        for index in range(len(frames)):
            assert abs(number_of(frames[index]) - index) <= 3
            good += 1
    except VideoEndedEarly as end:  # the very last ones may lack a neighbour they were coded against
        assert end.index == good
    assert good > len(frames) - 5
    assert abs(number_of(frames[2]) - 2) <= 3, "earlier frames can still be read"


def test_a_damaged_frame_is_replaced_by_the_next_one_with_a_warning(tmp_path, caplog):
    frames = open_frames(write_clip(tmp_path / "whole.mp4", noisy_frame))
    real = frames._times
    frames._times = sorted([*real, real[20] + 1])  # a frame that the scan found and the decoder cannot give
    frames._count += 1
    assert frames[21].shape == (*SIZE_HW, 3)
    assert "frame 21 is damaged, frame 22 replaces it" in caplog.text


def test_a_file_whose_end_does_not_decode_ends_there(mp4):
    frames = open_frames(mp4)
    frames._times = [*frames._times, frames._times[-1] + 10_000]
    frames._count += 1
    assert abs(number_of(frames[COUNT - 1]) - COUNT + 1) <= 1
    with pytest.raises(VideoEndedEarly, match=f"{COUNT} of {COUNT + 1} frames"):
        frames[COUNT]
    assert abs(number_of(frames[3]) - 3) <= 1


def test_a_file_cut_before_its_index_is_named(tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(write_clip(tmp_path / "whole.mp4").read_bytes()[:200])
    with pytest.raises(ValueError, match="cut off|damaged"):
        open_frames(path)


def test_a_title_in_another_encoding_is_no_obstacle(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "ABCDEFGH"
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(3), format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"ABCDEFGH", b"ABC\xe9EFGH"))
    assert len(open_frames(path)) == len(open_frames(path.read_bytes())) == 1


def test_a_file_without_a_decoder_is_refused_in_words(tmp_path):
    (tmp_path / "drawing.mp4").write_text('<svg xmlns="http://www.w3.org/2000/svg"></svg>')
    with pytest.raises(ValueError, match=r"drawing\.mp4.*there is no decoder for it|drawing\.mp4.*not a video"):
        open_frames(tmp_path / "drawing.mp4")


@pytest.mark.parametrize("logging", [None, av.logging.ERROR])
def test_threads_decode_only_where_their_messages_need_no_lock(mp4, monkeypatch, logging):
    monkeypatch.setattr(av.logging, "get_level", lambda: logging)
    video = open_frames(mp4)
    assert number_of(video[20]) == pytest.approx(20, abs=1)
    assert str(video._container.streams.video[0].thread_type).endswith("NONE") == (logging is not None)
