"""Frames in: a folder of pictures, a video file, arrays, any iterator, a camera.

A clip stays what it is: paths and files are decoded when a frame is asked for, arrays stay uint8. Official turns the
whole clip into float tensors first, 12 MiB a frame.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, Union

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from sam2nb.media.images import ImageLike, to_rgb_uint8
from sam2nb.media.video_file import VideoEndedEarly, VideoFile, play, with_bar

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
EXIF_ORIENTATION = 0x0112
LYING_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that swap width and height
LIVE = re.compile(r"^(rtsp|rtmp|udp|tcp|srt)://")

VideoLike = Union[str, Path, bytes, np.ndarray, Tensor, Sequence, Iterable]  # noqa: UP007  (a runtime value on python 3.10)


class FrameSource(Protocol):
    """A clip of known length whose frames are read one at a time."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of every frame."""

    def __len__(self) -> int:
        """How many frames there are."""

    def __getitem__(self, index: int) -> np.ndarray:
        """One frame: (H, W, 3) uint8"""


class FrameList:
    """Pictures in a row: paths, arrays, tensors, PIL images. Each becomes pixels when asked for.

    Raises ValueError without pictures, or where their sizes are seen to differ.
    """

    def __init__(self, pictures: Sequence[ImageLike], names: Sequence[str] | None = None) -> None:
        if len(pictures) == 0:
            raise ValueError("video has no frames")
        self._pictures = pictures
        self._names = names
        self.size_hw: tuple[int, int] = to_rgb_uint8(pictures[0]).shape[:2]
        for index in range(1, len(pictures)):
            self._check_size(index, _size_at_a_glance(pictures[index]))

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> np.ndarray:
        rgb = to_rgb_uint8(self._pictures[index])
        self._check_size(index, rgb.shape[:2])
        return rgb

    def _check_size(self, index: int, size_hw: tuple[int, int] | None) -> None:
        if size_hw is not None and size_hw != self.size_hw:
            name = f"frame {index}" if self._names is None else f"frame {index} ({self._names[index]})"
            raise ValueError(
                f"{name} is {size_hw[1]}x{size_hw[0]}, the first one {self.size_hw[1]}x{self.size_hw[0]}: "
                "all frames of a video must have one size"
            )


class Prefetched:
    """Another source whose next frame is decoded on a thread while this one is worked on."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")
        self._ahead: tuple[int, Future] | None = None
        self._last: int | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._source.size_hw

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> np.ndarray:
        if self._ahead is not None and self._ahead[0] == index:
            frame = self._ahead[1].result()
        else:  # through the same thread, because a source is not made for two
            frame = self._worker.submit(self._source.__getitem__, index).result()
        step = -1 if self._last is not None and index < self._last else 1
        self._last, self._ahead = index, None
        if 0 <= index + step < len(self._source):
            self._ahead = (index + step, self._worker.submit(self._source.__getitem__, index + step))
        return frame


def open_frames(video: VideoLike, progress: bool = True) -> FrameSource:
    """A clip as a source of frames.

    video: a folder of pictures in natural order of their names (2.jpg before 10.jpg); a video file (mp4, mov, avi,
    webm, …) or its bytes; an array (T, H, W, 3) or (T, H, W); a tensor (T, 3, H, W); a list of anything that is an
    image; an iterator, which is read to its end.

    Raises FileNotFoundError, TypeError, and ValueError for an empty folder, frames of several sizes, or a file that is
    not a video.
    """
    if hasattr(video, "size_hw"):
        return video
    if isinstance(video, int):
        raise TypeError(
            f"video is camera {video}, which never ends: use predictor.stream({video}) instead of init_state"
        )
    if isinstance(video, bytes):
        return VideoFile(io.BytesIO(video), name="video (bytes)", progress=progress)
    if isinstance(video, (str, Path)):
        return _open_path(video, progress)
    if isinstance(video, (np.ndarray, Tensor)):
        if video.ndim not in (3, 4):
            raise ValueError(f"video must have shape (T, H, W), (T, H, W, 3) or (T, 3, H, W), got {tuple(video.shape)}")
        if video.ndim == 3 and video.shape[-1] in (3, 4):
            raise ValueError(f"video looks like one picture of shape {tuple(video.shape)}: pass a list of frames")
        return FrameList(video)
    if isinstance(video, Sequence):
        return FrameList(video)
    if isinstance(video, Iterable):
        return FrameList([to_rgb_uint8(frame) for frame in with_bar(video, "reading frames", progress)])
    raise TypeError(
        f"video must be a folder, a video file, an array, a list or an iterator, got {type(video).__name__}"
    )


def iterate_frames(video: VideoLike | int) -> Iterator[np.ndarray]:
    """Frames one after the other, none kept: what `open_frames` takes, also a camera's index or a network address."""
    if isinstance(video, int) and not isinstance(video, bool):
        yield from camera_frames(video)
    elif isinstance(video, (str, Path)) and (LIVE.match(str(video)) or Path(video).is_file()):
        yield from play(video)
    elif isinstance(video, Iterable) and not isinstance(video, (str, bytes, Path, Sequence, np.ndarray, Tensor)):
        yield from (to_rgb_uint8(frame) for frame in video)
    else:
        frames = open_frames(video)
        yield from (frames[index] for index in range(len(frames)))


def camera_frames(index: int = 0) -> Iterator[np.ndarray]:
    """Frames of a camera until it stops: (H, W, 3) uint8. The camera is closed with the iterator."""
    camera = cv2.VideoCapture(index)
    try:
        if not camera.isOpened():
            raise OSError(f"camera {index} cannot be opened")
        while True:
            there, bgr = camera.read()
            if not there:
                return
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    finally:
        camera.release()


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key that takes digits as numbers: frame2 before frame10."""
    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"(\d+)", name) if part]


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; hidden files are left out."""
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    return sorted(pictures, key=lambda p: natural_key(p.name))


def _open_path(path: str | Path, progress: bool) -> FrameSource:
    file = Path(path)
    if file.is_dir():
        pictures = list_pictures(file)
        if not pictures:
            raise ValueError(f"video: the folder {str(path)!r} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return FrameList(pictures, [p.name for p in pictures])
    if LIVE.match(str(path)):
        raise ValueError(f"video {str(path)!r} never ends: use predictor.stream(address) instead of init_state")
    if not file.is_file():
        raise FileNotFoundError(f"video: there is no file or folder {str(path)!r}")
    if file.suffix.lower() in IMAGE_SUFFIXES:
        return FrameList([file], [file.name])
    return VideoFile(file, name=file.name, progress=progress)


def _size_at_a_glance(picture: Any) -> tuple[int, int] | None:
    """Height and width where they can be told without decoding."""
    if isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[-1] in (3, 4):
        return picture.shape[:2]
    if isinstance(picture, (str, Path)):
        try:
            with Image.open(picture) as header:
                width, height = header.size
                sideways = header.getexif().get(EXIF_ORIENTATION) in LYING_ON_ITS_SIDE
        except (OSError, UnidentifiedImageError, SyntaxError):
            return None  # said clearly when the frame is read
        return (width, height) if sideways else (height, width)
    return None


__all__ = [
    "FrameList",
    "FrameSource",
    "Prefetched",
    "VideoEndedEarly",
    "VideoFile",
    "VideoLike",
    "camera_frames",
    "iterate_frames",
    "list_pictures",
    "natural_key",
    "open_frames",
    "play",
    "with_bar",
]
