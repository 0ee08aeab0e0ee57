"""Masks as runs of pixels for the browser, row by row, in the size at which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam2nb.masks.rle import Rle
from sam2nb.widgets.layers import shown_part


def pack_runs(rles: Sequence[Rle], size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks in another size as runs of pixels, row by row.

    size_hw: of the label map in the browser. -> where the runs of each mask begin (N + 1), starts (R) and lengths (R)
    of all runs, uint32
    """
    return _packed([_runs_of(rle, size_hw) for rle in rles])


def pack_shown(masks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks, each (h, w) bool, of the size at which they are shown as runs, without specks; see `pack_runs`."""
    packed = []
    for mask in masks:
        part, (rows, columns) = shown_part(mask)
        packed.append(_runs_in(part, np.arange(rows.start, rows.stop), columns.start, mask.shape[1]))
    return _packed(packed)


def _packed(runs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = [len(starts) for starts, _ in runs]
    empty = [np.zeros(0, "<u4")]
    starts, lengths = (np.concatenate([*empty, *(pair[part] for pair in runs)]) for part in (0, 1))
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype("<u4"), starts, lengths


def _runs_of(rle: Rle, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of one mask's runs; a mask too small for the size keeps one pixel."""
    if rle.area == 0:
        return np.zeros(0, "<u4"), np.zeros(0, "<u4")
    x0, y0, x1, y1 = rle.box
    columns, rows = _samples(x0, x1, rle.size_hw[1], size_hw[1]), _samples(y0, y1, rle.size_hw[0], size_hw[0])
    window = rle.window(x0, y0, x1 + 1, y1 + 1)[np.ix_(rows[1] - y0, columns[1] - x0)]
    if not window.any():
        window[len(rows[0]) // 2, len(columns[0]) // 2] = True
    return _runs_in(window, rows[0], columns[0][0], size_hw[1])


def _runs_in(window: np.ndarray, rows: np.ndarray, left: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of the runs in a part of a mask. rows: of the part; left: its first column; width: of all."""
    padded = np.zeros((window.shape[0], window.shape[1] + 2), bool)
    padded[:, 1:-1] = window
    row, column = np.divmod(np.flatnonzero(padded[:, 1:] != padded[:, :-1]), window.shape[1] + 1)  # begin, end, begin …
    starts = (rows[row[::2]].astype(np.int64) * width + left + column[::2]).astype("<u4")
    return starts, (column[1::2] - column[::2]).astype("<u4")


def _samples(first: int, last: int, length: int, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """The shown pixels that lie over first..last, at least one, and the pixels at their centres."""
    centers = ((np.arange(shown) + 0.5) * length / shown).astype(np.int64)
    over = np.flatnonzero((centers >= first) & (centers <= last))
    if len(over) == 0:
        over = np.array([min(first * shown // length, shown - 1)])
    return over, np.clip(centers[over], first, last)
