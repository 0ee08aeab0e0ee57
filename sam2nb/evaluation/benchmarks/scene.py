"""The photograph, the clip and the boxes that every contestant gets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2nb.evaluation.benchmarks.setting import Workload

PHOTO_SEED = 0
DRIFT = 8  # pixels per frame
BOX_TOP, BOX_HW, BOX_MARGIN = 100.0, (260, 180), 20  # pixels of the clip


def photo(workload: Workload) -> NDArray[np.uint8]:
    """The photograph: the image file of the workload, or smooth random blobs. (H, W, 3) uint8"""
    size = workload.photo_hw[::-1]
    if workload.image is not None:
        with Image.open(workload.image) as image:
            return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    coarse = np.random.default_rng(PHOTO_SEED).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def clip_frames(workload: Workload) -> Iterator[NDArray[np.uint8]]:
    """Endless frames of the clip: the photograph, drifting to the right. (H, W, 3) uint8"""
    still = np.asarray(Image.fromarray(photo(workload)).resize(workload.clip_hw[::-1]))
    for index in count():
        yield np.roll(still, DRIFT * index, axis=1)


def write_clip(folder: Path, workload: Workload, frames: int) -> Path:
    """Write the first frames of the clip as a folder of JPEG files; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(islice(clip_frames(workload), frames)):
        Image.fromarray(frame).save(folder / f"{index:05}.jpg", quality=90)
    return folder


def boxes(workload: Workload, objects: int) -> NDArray[np.float32]:
    """Boxes side by side in the clip, one for every object: (objects, 4) as x1, y1, x2, y2"""
    height, width = BOX_HW
    left = np.linspace(BOX_MARGIN, workload.clip_hw[1] - width - 2 * BOX_MARGIN, objects)
    top = np.full(objects, BOX_TOP)
    return np.stack([left, top, left + width, top + height], axis=1).astype(np.float32)
