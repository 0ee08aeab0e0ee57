"""Write video files that browsers play."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from sam2nb.whole_file import whole_file

CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
QUALITY = {"libx264": {"crf": "20", "preset": "veryfast"}, "libvpx-vp9": {"crf": "32", "b:v": "0", "cpu-used": "5"}}
MAX_CRF = 51  # of H.264; that of VP9 is 63
FAST_START = {"movflags": "faststart"}  # the index comes first, so a browser plays the file while it loads
PIXEL_FORMAT = "yuv420p"  # the only format that every browser decodes; it needs even sides


class _GivenUp(Exception):
    """The reason for `whole_file` to remove what was written."""


class VideoWriter:
    """Write frames to a video file; use it in a `with` block, which closes the file.

    path: ends in .mp4, .mov, .mkv (H.264) or .webm (VP9); missing folders are made. fps: frames per second. The file
    appears when it is closed, with the frames written so far; without any frame it does not. crf: the constant rate
    factor of the codec, 0 to 51; a larger one makes a smaller and coarser file. None is 20 for H.264 and 32 for VP9.

    Raises ValueError for another ending, an fps that is no positive number, or a crf out of range; OSError where the
    file cannot be written.
    """

    def __init__(self, path: str | Path, fps: float = 25.0, crf: int | None = None) -> None:
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in CODECS:
            raise ValueError(f"path must end in {', '.join(CODECS)}, got {self.path.name!r}")
        if not 0 < fps < float("inf"):
            raise ValueError(f"fps must be positive, got {fps}")
        if crf is not None and not 0 <= crf <= MAX_CRF:
            raise ValueError(f"crf must be 0 to {MAX_CRF}, got {crf!r}")
        self.fps = Fraction(fps).limit_denominator(1001)
        self._codec = CODECS[suffix]
        self._quality = QUALITY[self._codec] | ({} if crf is None else {"crf": str(crf)})
        options = FAST_START if suffix in (".mp4", ".mov") else {}
        self._file = ExitStack()
        part = self._file.enter_context(whole_file(self.path))
        self._container = av.open(f"file:{part}", "w", format=FORMATS[suffix], options=options)
        self._stream: av.VideoStream | None = None
        self._size_hw: tuple[int, int] | None = None

    def add(self, rgb: np.ndarray) -> None:
        """Append a frame; odd sides are padded by one pixel.

        rgb: (H, W, 3) uint8, of the same size as the frames before, else ValueError.
        """
        if self._stream is None:
            self._begin(rgb.shape[:2])
        if rgb.shape[:2] != self._size_hw:
            raise ValueError(f"rgb must be {self._size_hw} (height, width) as the frames before, got {rgb.shape[:2]}")
        height, width = self._size_hw
        even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._write(av.VideoFrame.from_ndarray(even, format="rgb24"))

    def _begin(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._stream = self._container.add_stream(self._codec, rate=self.fps, options=self._quality)
        self._stream.height, self._stream.width = (side + side % 2 for side in size_hw)
        self._stream.pix_fmt = PIXEL_FORMAT

    def _write(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or flush with None; an error of FFmpeg becomes an OSError, and nothing of the file stays."""
        try:
            self._container.mux(self._stream.encode(frame))
            if frame is None:
                self._container.close()
        except av.FFmpegError as error:
            self._discard()
            raise OSError(f"{self.path} cannot be written: is the disk full?") from error

    def _discard(self) -> None:
        """Give the file up."""
        with suppress(av.FFmpegError):
            self._container.close()
        with suppress(_GivenUp), self._file:
            raise _GivenUp
        self._stream = None

    def close(self) -> None:
        """Flush the encoder and finish the file, which appears now."""
        if self._stream is None:
            self._discard()
            return
        self._write(None)
        self._stream = None
        self._file.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
