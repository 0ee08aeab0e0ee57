"""Frames that say which one they are, and a video file of them."""

from pathlib import Path

import numpy as np

from sam2nb.media.video_writer import VideoWriter

SIZE_HW = (48, 64)
COUNT = 40


def frame(index: int, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """A white bar that grows by one pixel a frame, red in the upper half: it shows the number, and which way is up."""
    rgb = np.zeros((*size_hw, 3), np.uint8)
    rgb[:, : index + 8] = 255
    rgb[: size_hw[0] // 2, :, 1:] = 0
    return rgb


def noisy_frame(index: int) -> np.ndarray:
    """The same with noise in the upper half, so that every frame takes its share of the file."""
    rgb = frame(index)
    rgb[: SIZE_HW[0] // 2] = np.random.default_rng(index).integers(0, 255, (SIZE_HW[0] // 2, SIZE_HW[1], 3))
    return rgb


def number_of(rgb: np.ndarray) -> int:
    """The frame's number, read from the length of its bar."""
    return int((rgb[-4, :, 1] > 128).sum()) - 8


def write_clip(path: Path, make_frame=frame, fps: float = 12.0) -> Path:
    with VideoWriter(path, fps) as writer:
        for index in range(COUNT):
            writer.add(make_frame(index))
    return path


class Camera:
    """A stand-in for OpenCV's camera: three frames, then unplugged."""

    def __init__(self, index: int) -> None:
        self.index, self.left, self.released = index, 3, False

    def isOpened(self) -> bool:
        return self.index == 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, frame(5)[..., ::-1].copy()) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True
