"""Frame sources: a folder of images, a video file, arrays, any iterator, a camera.

Frames are decoded when they are needed, and arrays stay uint8. The official package converts the whole clip to float
tensors first, 12 MiB a frame.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Union

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sam2nb.media.folder import IMAGE_SUFFIXES, list_images
from sam2nb.media.images import ImageLike, to_rgb_uint8, to_video_input
from sam2nb.media.progress import with_bar
from sam2nb.media.video_file import VideoFile, play

EXIF_ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
LIVE = re.compile(r"^(rtsp|rtmp|udp|tcp|srt)://")

NO_ITERATOR = (str, bytes, bytearray, Path, Sequence, np.ndarray, Tensor)  # iterable, but no iterators


class FrameSource(Protocol):
    """A clip of known length, read one frame at a time."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of every frame."""

    def __len__(self) -> int:
        """The number of frames."""

    def __getitem__(self, index: int) -> np.ndarray:
        """One frame: (H, W, 3) uint8"""


VideoLike = Union[  # noqa: UP007  (a runtime value on python 3.10)
    str, Path, bytes, bytearray, BinaryIO, np.ndarray, Tensor, Sequence, Iterable, FrameSource
]


class FrameList:
    """A sequence of images as a video: paths, arrays, tensors or PIL images, each decoded when it is read.

    Raises ValueError for an empty sequence, and for images of different sizes where the size is known without decoding.
    """

    def __init__(self, images: Sequence[ImageLike], names: Sequence[str] | None = None) -> None:
        if len(images) == 0:
            raise ValueError("video has no frames")
        self._images = images
        self._names = names
        self.size_hw: tuple[int, int] = to_rgb_uint8(images[0]).shape[:2]
        for index in range(1, len(images)):
            self._check_size(index, _size_without_decoding(images[index]))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        rgb = to_rgb_uint8(self._images[index])
        self._check_size(index, rgb.shape[:2])
        return rgb

    def _check_size(self, index: int, size_hw: tuple[int, int] | None) -> None:
        if size_hw is not None and size_hw != self.size_hw:
            name = f"frame {index}" if self._names is None else f"frame {index} ({self._names[index]})"
            raise ValueError(
                f"{name} is {size_hw[1]}x{size_hw[0]}, the first one {self.size_hw[1]}x{self.size_hw[0]}: "
                "all frames of a video must have the same size"
            )


class Prefetched:
    """A frame source that decodes the next frame of another source on a thread while the current one is in use.

    It can be copied and pickled where its source can; a copy, and the child of a fork, starts a thread of its own.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._last: int | None = None
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")
        self._ahead: tuple[int, Future] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "last": self._last}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._source, self._last = state["source"], state["last"]
        self._start()

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._source.size_hw

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> np.ndarray:
        if self._process != os.getpid():  # the thread has stayed in the parent
            self._start()
        if self._ahead is not None and self._ahead[0] == index:
            frame = self._ahead[1].result()
        else:  # on the same thread, because sources are not thread-safe
            frame = self._worker.submit(self._source.__getitem__, index).result()
        step = -1 if self._last is not None and index < self._last else 1
        self._last, self._ahead = index, None
        if 0 <= index + step < len(self._source):
            self._ahead = (index + step, self._worker.submit(self._source.__getitem__, index + step))
        return frame


class ModelInputs:
    """The frames of a source as the model reads them.

    frames: the source. image_size: side S of the model's input. device: where the tensors go.
    """

    def __init__(self, frames: FrameSource, image_size: int, device: torch.device) -> None:
        self.frames, self.image_size, self.device = frames, image_size, device

    def __getitem__(self, index: int) -> Tensor:
        """One frame: (1, 3, S, S) float32, normalised"""
        return to_video_input(self.frames[index], self.image_size, self.device)

    def part(self, index: int, rows: slice, columns: slice) -> Tensor:
        """Some rows and columns of one frame, as if they were the frame: (1, 3, S, S) float32, normalised"""
        return to_video_input(np.ascontiguousarray(self.frames[index][rows, columns]), self.image_size, self.device)


def open_frames(video: VideoLike, progress: bool = True) -> FrameSource:
    """Open a video of any kind as a frame source.

    video: a folder of images, in natural order of their names (2.jpg before 10.jpg); a video file (mp4, mov, avi,
    webm, …), its bytes, or a file object opened in binary mode; an array (T, H, W, 3) or (T, H, W); a tensor
    (T, 3, H, W); a list of images of any kind; an iterator, which is read to its end; or a frame source of your own,
    which is returned as it is.
    progress: show a bar while frames are read or counted.

    Raises FileNotFoundError, TypeError, and ValueError for an empty folder, frames of different sizes, or a file that
    is not a video.
    """
    if hasattr(video, "size_hw"):
        return video
    if isinstance(video, int):
        raise TypeError(
            f"video is camera {video}, which never ends: use predictor.stream({video}) instead of init_state"
        )
    if hasattr(video, "read"):
        video = video.read()
    if isinstance(video, (bytes, bytearray)):
        return VideoFile(io.BytesIO(video), name="video (bytes)", progress=progress)
    if isinstance(video, (str, Path)):
        return _open_path(video, progress)
    if isinstance(video, (np.ndarray, Tensor)):
        if video.ndim not in (3, 4):
            raise ValueError(f"video must have shape (T, H, W), (T, H, W, 3) or (T, 3, H, W), got {tuple(video.shape)}")
        if video.ndim == 3 and video.shape[-1] in (3, 4):
            raise ValueError(f"video looks like a single image of shape {tuple(video.shape)}: pass a list of frames")
        return FrameList(video)
    if isinstance(video, Sequence):
        return FrameList(video)
    if isinstance(video, Iterable):
        return FrameList([to_rgb_uint8(frame) for frame in with_bar(video, "reading frames", progress)])
    raise TypeError(
        f"video must be a folder, a video file, an array, a list or an iterator, got {type(video).__name__}"
    )


def iterate_frames(video: VideoLike | int) -> Iterator[np.ndarray]:
    """Iterate over the frames of a video, (H, W, 3) uint8, without keeping any.

    video: whatever `open_frames` takes, or a camera's index, or a network address (rtsp, rtmp, udp, tcp, srt).
    """
    if isinstance(video, int) and not isinstance(video, bool):
        yield from camera_frames(video)
    elif isinstance(video, (str, Path)) and (LIVE.match(str(video)) or os.path.isfile(video)):
        yield from play(video, live=LIVE.match(str(video)) is not None)
    elif isinstance(video, Iterable) and not isinstance(video, NO_ITERATOR) and not hasattr(video, "read"):
        yield from (to_rgb_uint8(frame) for frame in video)
    else:
        frames = open_frames(video)
        yield from (frames[index] for index in range(len(frames)))


def camera_frames(index: int = 0) -> Iterator[np.ndarray]:
    """Iterate over the frames of a camera until it stops: (H, W, 3) uint8. Closing the iterator closes the camera.

    Raises OSError if the camera cannot be opened.
    """
    camera = cv2.VideoCapture(index)
    try:
        if not camera.isOpened():
            raise OSError(f"camera {index} cannot be opened")
        while True:
            received, bgr = camera.read()
            if not received:
                return
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    finally:
        camera.release()


def _open_path(path: str | Path, progress: bool) -> FrameSource:
    file = Path(path)
    if not str(path):
        raise ValueError("video is an empty path")
    if os.path.isdir(file):
        images = list_images(file)
        if not images:
            raise ValueError(f"video: the folder {str(path)!r} has no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return FrameList(images, [image.name for image in images])
    if LIVE.match(str(path)):
        raise ValueError(f"video {str(path)!r} never ends: use predictor.stream(address) instead of init_state")
    if not os.path.isfile(file):  # unlike Path.is_file, False for a name that is too long
        raise FileNotFoundError(f"video: there is no file or folder {str(path)!r}")
    if file.suffix.lower() in IMAGE_SUFFIXES:
        return FrameList([file], [file.name])
    return VideoFile(file, name=file.name, progress=progress)


def _size_without_decoding(image: Any) -> tuple[int, int] | None:
    """Height and width from an array's shape or a file's header, None where only decoding would tell."""
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[-1] in (3, 4):
        return image.shape[:2]
    if isinstance(image, (str, Path)):
        try:
            with Image.open(image) as header:
                width, height = header.size
                sideways = header.getexif().get(EXIF_ORIENTATION) in SIDEWAYS
        except Exception:
            return None  # reading the frame raises a clear error
        return (width, height) if sideways else (height, width)
    return None
