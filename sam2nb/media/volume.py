"""Volumes: the slices of a 3-D array along an axis as the frames of a video.

    slices = VolumeSlices(ct, axis=0, window=(-160, 240))  # CT in Hounsfield units, level 40 and width 400

Grey values become bytes by a linear window: everything below it is black, everything above it white.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

PERCENTILES = (0.5, 99.5)  # of the values that the default window spans: single bright voxels do not darken the rest
SAMPLE = 2_000_000  # voxels, about, that are looked at for the window
Window = tuple[float, float]


class VolumeSlices:
    """A frame source: slice k along an axis is frame k, in grey; slices are made when they are read.

    volume: (D, H, W), an array, memory map or tensor of booleans, integers or floats.
    axis: 0, 1 or 2, along which the slices follow each other. The other two, in their order, are rows and columns.
    window: (low, high), the values that become 0 and 255. A window of level L and width B, as in radiology, is
        (L - B / 2, L + B / 2). None: uint8 stays as it is, False and True become black and white, other types span
        the percentiles 0.5 and 99.5 of their finite values (looked up in a regular sample of large volumes). NaN is
        black.

    Raises TypeError for other types, ValueError for another number of axes, an empty volume, or a window that is none.
    """

    def __init__(self, volume: np.ndarray | Tensor, axis: int = 0, window: Window | None = None) -> None:
        array = volume.detach().cpu().numpy() if isinstance(volume, Tensor) else np.asarray(volume)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"volume must hold bool, integer or float values, got dtype {array.dtype}")
        if array.ndim != 3 or array.size == 0:
            raise ValueError(f"volume must have shape (D, H, W), grey and not empty, got {array.shape}")
        if axis not in (0, 1, 2):
            raise ValueError(f"axis must be 0, 1 or 2, got {axis!r}")
        self.shape: tuple[int, ...] = array.shape
        self.axis = axis
        self.window = _default_window(array) if window is None else _check_window(window)
        self._slices = np.moveaxis(array, axis, 0)

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._slices.shape[1:]

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, index: int) -> np.ndarray:
        grey = self._slices[index]
        if grey.dtype != np.uint8 or self.window != (0, 255):
            low, high = self.window
            unit = (grey.astype(np.float64) - low) / (high - low)
            grey = (np.nan_to_num(unit, nan=0).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)


def _check_window(window: Window) -> Window:
    try:
        low, high = (float(value) for value in window)
    except (TypeError, ValueError):
        low = high = float("nan")
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"window must be two numbers (low, high), low < high, got {window!r}")
    return low, high


def _default_window(array: np.ndarray) -> Window:
    """See `VolumeSlices`; a volume of one value gets a window in which it is black."""
    if array.dtype == np.uint8:
        return 0, 255
    if array.dtype == bool:
        return 0, 1
    step = max(1, int(np.ceil((array.size / SAMPLE) ** (1 / 3))))
    sample = array[::step, ::step, ::step].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise ValueError("volume holds no finite value")
    low, high = np.percentile(sample, PERCENTILES)
    if low == high:
        low, high = sample.min(), sample.max()
    return float(low), float(high) if high > low else float(low) + 1
