"""Labelled images and clips, and the reading of their files.

A mask file is a label map: every value above 0 is one object, whether stored as grey or palette values. A sample that
cannot be used (mask missing, or not the size of its image) raises `SampleError` when it is read, so that a loop over a
data set can note the problem and continue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2nb.media.folder import list_images

MAX_LABELS = 64  # a grey mask with more values than this was saved with soft edges or as JPEG


class SampleError(ValueError):
    """One sample of a data set cannot be used; the message names the file and the problem."""


@dataclass(frozen=True)
class LabelledImage:
    """An image and the exact masks of some of its objects.

    image: (H, W, 3) uint8; masks: (N, H, W) bool; labels: one name per mask.
    """

    name: str
    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledImages:
    """A set of labelled images; `load(name)` reads one, iterating reads all of them one at a time."""

    source: str
    names: tuple[str, ...]
    load: Callable[[str], LabelledImage] = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[LabelledImage]:
        return (self.load(name) for name in self.names)


@dataclass(frozen=True)
class LabelledClip:
    """A clip whose frames are files, and the masks of its objects on some frames, read on demand.

    frames: files in order; annotated: for every object id, the indices of the frames on which its mask is known.
    """

    name: str
    frames: tuple[Path, ...]
    annotated: dict[int, tuple[int, ...]]
    read_mask: Callable[[int, int], NDArray[np.bool_]] = field(repr=False)

    @property
    def objects(self) -> tuple[int, ...]:
        """The ids of the objects."""
        return tuple(self.annotated)

    def mask(self, frame: int, obj_id: int) -> NDArray[np.bool_]:
        """The mask of one object on one annotated frame, empty if it is not visible: (H, W) bool"""
        return self.read_mask(frame, obj_id)

    def frame(self, index: int) -> NDArray[np.uint8]:
        """One frame: (H, W, 3) uint8"""
        return read_rgb(self.frames[index])

    def first_frame_of(self, obj_id: int) -> int | None:
        """The first annotated frame on which the object is visible, or None if there is no such frame."""
        return next((frame for frame in self.annotated[obj_id] if self.mask(frame, obj_id).any()), None)


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder in natural order; empty if there is no such folder."""
    return list_images(folder) if folder.is_dir() else []


def read_rgb(file: Path) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) uint8, without EXIF rotation, since the masks of data sets do not have it either.

    Raises SampleError if the file cannot be read.
    """
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise SampleError(f"{file}: cannot be read as an image ({error})") from error


def read_labels(file: Path) -> NDArray[np.integer]:
    """Read a mask file as a label map, 0 for the background: (H, W)

    Palette and grey values are kept, colours are numbered; a grey mask with soft edges becomes 0 and 1.

    Raises SampleError if the file cannot be read.
    """
    try:
        with Image.open(file) as image:
            values = np.asarray(image if image.mode in ("P", "L", "I", "I;16", "1") else image.convert("RGB"))
    except OSError as error:
        raise SampleError(f"{file}: cannot be read as a mask ({error})") from error
    if values.ndim == 3:
        colours = (values.astype(np.int64) * (1 << 16, 1 << 8, 1)).sum(axis=2)
        return np.unique(colours, return_inverse=True)[1].reshape(colours.shape) if colours.any() else colours
    if values.dtype == bool:
        return values.astype(np.uint8)
    if len(np.unique(values)) > MAX_LABELS:
        return (values > values.max() / 2).astype(np.uint8)
    return values


def read_size_hw(file: Path) -> tuple[int, int]:
    """The (height, width) of an image file, without decoding its pixels."""
    with Image.open(file) as image:
        return image.height, image.width


def check_size(mask: NDArray, image: NDArray, file: Path) -> None:
    """Raise SampleError unless a mask (H, W) has the size of its image (H, W, 3)."""
    if mask.shape != image.shape[:2]:
        raise SampleError(f"{file}: mask is {mask.shape}, its image {image.shape[:2]}")
