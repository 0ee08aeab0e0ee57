"""Video files through PyAV: any frame by its number, upright, decoded when it is read.

A file is scanned once for its time stamps, without decoding; a frame is then decoded from the nearest key frame before
it. Without usable time stamps, frames are counted by decoding once, and going back decodes from the beginning.
"""

from __future__ import annotations

import io
import logging
import os
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from sam2nb.media.progress import with_bar

log = logging.getLogger(__name__)

LOOK_AHEAD = 16  # frames; up to this distance decoding forwards is faster than seeking
DEFAULT_FPS = 25.0  # where a file does not say
# for titles that are not UTF-8; PyAV 19 reads them without being told
TITLES = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
STALL_SECONDS = 10.0  # without progress, until a file counts as unreadable: a playlist may wait for further parts

_left_by_fork: list[object] = []  # decoders whose threads are in the parent process: closing one would never end


class VideoEndedEarly(RuntimeError):
    """A file promises more frames than can be decoded.

    index: the first missing frame. promised: the number of frames the file should have.
    """

    def __init__(self, name: str, index: int, promised: int) -> None:
        super().__init__(f"{name} ends early: {index} of {promised} frames can be decoded")
        self.index, self.promised = index, promised


class VideoFile:
    """The frames of a video file as a frame source.

    file: a path or the bytes of a file. name: the file's name in error messages. progress: show a bar while counting.

    Raises ValueError for a file that is not a video, or whose first frame cannot be decoded. Reading a frame raises
    `VideoEndedEarly` where the file stops before it. It can be copied and pickled, and read in the child of a fork.
    """

    def __init__(self, file: Path | io.BytesIO, name: str, progress: bool = True) -> None:
        self._file, self._name = file, name
        self._times: list[int] | None = _scan(file, name)  # None: no usable time stamps
        count = len(self._times) if self._times else _count_by_decoding(file, name, progress)
        if count == 0:
            raise ValueError(f"video {name!r} has no frames that can be decoded")
        self._count = count
        self._close()
        self._last: tuple[int, np.ndarray] | None = None
        self._size_hw: tuple[int, int] | None = None
        try:
            self._size_hw = self[0].shape[:2]
        except VideoEndedEarly:
            raise ValueError(f"video {name!r} is damaged: no frame can be decoded") from None

    def _close(self) -> None:
        """Begin without a decoder."""
        self._process = os.getpid()
        self._container: InputContainer | None = None
        self._decoder: Iterator[av.VideoFrame] = iter(())
        self._next = -1  # the frame that the decoder returns next; -1: not started

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_container", "_decoder")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._close()

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._size_hw

    @property
    def fps(self) -> float:
        """Frames per second according to the file, 25 where it does not say."""
        with _open(self._file, self._name) as container:
            return float(container.streams.video[0].average_rate or DEFAULT_FPS)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < self._count:
            raise IndexError(f"frame {index} does not exist, the video has {self._count} frames")
        if self._last is None or self._last[0] != index:
            self._last = (index, self._check_size(index, self._decode(index)))
        return self._last[1]

    def _decode(self, index: int) -> np.ndarray:
        if self._process != os.getpid():
            _left_by_fork.append((self._container, self._decoder))
            self._close()
        if not 0 <= self._next <= index <= self._next + LOOK_AHEAD:
            self._seek(index)
        for frame in self._decoder:
            position = self._next if self._times is None else bisect_left(self._times, frame.pts)
            self._next = position + 1
            if position == index:
                return upright(frame)
            if position > index:
                log.warning("%s: frame %d is damaged, frame %d replaces it", self._name, index, position)
                return upright(frame)
        self._next = -1
        raise VideoEndedEarly(self._name, index, self._count)

    def _seek(self, index: int) -> None:
        """Start decoding at or before a frame; at the beginning of the file if it does not seek reliably."""
        self._restart()
        if self._times is None or index <= LOOK_AHEAD:
            return
        stream = self._container.streams.video[0]
        try:
            self._container.seek(self._times[index], stream=stream)
            first = next(_frames(self._container), None)
        except av.FFmpegError:
            first = None
        if first is None or first.pts is None or first.pts > self._times[index]:
            self._restart()
            return
        self._container.seek(self._times[index], stream=stream)
        self._decoder, self._next = _frames(self._container), bisect_left(self._times, first.pts)

    def _restart(self) -> None:
        if self._container is not None:
            self._container.close()
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        self._container = _open(self._file, self._name)
        self._decoder, self._next = _frames(self._container), 0

    def _check_size(self, index: int, rgb: np.ndarray) -> np.ndarray:
        if self._size_hw is not None and rgb.shape[:2] != self._size_hw:
            (height, width), (first_height, first_width) = rgb.shape[:2], self._size_hw
            raise ValueError(f"frame {index} is {width}x{height}, the first frame {first_width}x{first_height}")
        return rgb


def play(address: str | Path, live: bool = False) -> Iterator[np.ndarray]:
    """Iterate over the frames of a file, (H, W, 3) uint8, without scanning it first.

    live: the address is one of the network, where a stream may pause for any time.
    """
    with _open(str(address), str(address), live) as container:
        yield from (upright(frame) for frame in _frames(container))


def upright(frame: av.VideoFrame) -> np.ndarray:
    """Convert a frame to RGB and apply the rotation in its metadata: -> (H, W, 3) uint8"""
    rgb = frame.to_ndarray(format="rgb24")
    quarter_turns = round((frame.rotation or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns)) if quarter_turns else rgb


def _open(file: str | Path | io.BytesIO, name: str, live: bool = False) -> InputContainer:
    try:
        if isinstance(file, io.BytesIO):
            file.seek(0)
            container = av.open(file, **TITLES)
        elif live:
            container = av.open(str(file), **TITLES)
        else:  # "file:", or FFmpeg takes the part of a name before a colon for a protocol
            container = av.open(f"file:{file}", timeout=STALL_SECONDS, **TITLES)
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"video {name!r} cannot be read: it is not a video, or is cut off ({error})") from error
    if not container.streams.video:
        container.close()
        raise ValueError(f"video {name!r} has no video track, or is cut off before it")
    if container.streams.video[0].codec_context is None:  # older versions of PyAV would crash
        container.close()
        raise ValueError(f"video {name!r} cannot be read: there is no decoder for it")
    if container.format.name == "hls" and container.duration is None and not live:
        container.close()
        raise ValueError(f"video {name!r} is a playlist that does not say where it ends (#EXT-X-ENDLIST)")
    # With PyAV's logging on, as older torchvision switches it on, FFmpeg's threads can wait for Python's lock forever.
    container.streams.video[0].thread_type = "AUTO" if av.logging.get_level() is None else "NONE"
    return container


def _frames(container: InputContainer) -> Iterator[av.VideoFrame]:
    """Every frame that can be decoded; damaged packets are skipped."""
    packets = container.demux(video=0)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return  # the file stops in the middle of a packet
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _scan(file: Path | io.BytesIO, name: str) -> list[int] | None:
    """Time stamps of all frames in order, without decoding; None where they are missing or not unique."""
    times: list[int | None] = []
    with _open(file, name) as container:
        try:
            for packet in container.demux(video=0):
                if packet.size and not packet.is_discard:
                    times.append(packet.pts)
        except av.FFmpegError:
            pass  # the file is cut off; the frames before are used
        promised = container.streams.video[0].frames  # 0 where the file does not say
    if len(times) < promised:
        log.warning("%s ends early: %d of %d frames are present and will be used", name, len(times), promised)
    if not times or None in times or len(set(times)) != len(times):
        return None
    return sorted(times)


def _count_by_decoding(file: Path | io.BytesIO, name: str, progress: bool) -> int:
    with _open(file, name) as container:
        return sum(1 for _ in with_bar(_frames(container), "counting frames", progress))
