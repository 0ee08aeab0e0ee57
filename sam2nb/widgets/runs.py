"""Masks as runs of pixels for the browser, row by row, in the size at which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam2nb.masks.rle import Rle


def pack_runs(rles: Sequence[Rle], size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks in another size as runs of pixels, row by row.

    size_hw: of the label map in the browser. -> where the runs of each mask begin (N + 1), starts (R) and lengths (R)
    of all runs, uint32
    """
    packed = [_runs_of(rle, size_hw) for rle in rles]
    counts = [len(starts) for starts, _ in packed]
    empty = [np.zeros(0, "<u4")]
    starts, lengths = (np.concatenate([*empty, *(pair[part] for pair in packed)]) for part in (0, 1))
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype("<u4"), starts, lengths


def _runs_of(rle: Rle, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of one mask's runs; a mask too small for the size keeps one pixel."""
    if rle.area == 0:
        return np.zeros(0, "<u4"), np.zeros(0, "<u4")
    x0, y0, x1, y1 = rle.box
    columns, rows = _samples(x0, x1, rle.size_hw[1], size_hw[1]), _samples(y0, y1, rle.size_hw[0], size_hw[0])
    window = rle.window(x0, y0, x1 + 1, y1 + 1)[np.ix_(rows[1] - y0, columns[1] - x0)]
    padded = np.zeros((window.shape[0], window.shape[1] + 2), np.int8)
    padded[:, 1:-1] = window
    if not window.any():
        padded[len(rows[0]) // 2, 1 + len(columns[0]) // 2] = 1
    changes = np.diff(padded, axis=1)
    at_row, begin = np.nonzero(changes == 1)
    _, end = np.nonzero(changes == -1)
    starts = (rows[0][at_row].astype(np.int64) * size_hw[1] + columns[0][0] + begin).astype("<u4")
    return starts, (end - begin).astype("<u4")


def _samples(first: int, last: int, length: int, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """The shown pixels that lie over first..last, at least one, and the pixels at their centres."""
    centers = ((np.arange(shown) + 0.5) * length / shown).astype(np.int64)
    over = np.flatnonzero((centers >= first) & (centers <= last))
    if len(over) == 0:
        over = np.array([min(first * shown // length, shown - 1)])
    return over, np.clip(centers[over], first, last)
