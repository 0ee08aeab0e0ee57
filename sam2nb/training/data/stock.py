"""The stock of a run on one device: views of photographs with the teacher's masks, and cut-outs.

Everything lies in the device's memory, so that a GPU composes its own batches and never waits for the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.cutouts import CutOuts
from sam2nb.training.data.teacher import label_pixels, read_view, to_pixels

MASK_SIDE = 256  # of the stored masks
MAX_MASKS = 12  # of one view
CLICKS_PER_SIDE = 9
CLICKS_PER_BATCH = 81


@dataclass(frozen=True)
class Stock:
    """V views, up to 12 masks of each, C cut-outs.

    views: (V, 3, H, H) uint8. masks: (V, 12, 256, 256) bool; counts: (V,), how many of them there are.
    cutouts: (C, 4, 256, 256) uint8, each in the top left corner; sizes: (C, 2) as (height, width); weights: (C,), the
    probability of choosing each.
    """

    views: Tensor
    masks: Tensor
    counts: NDArray[np.int64]
    cutouts: Tensor
    sizes: NDArray[np.int16]
    weights: NDArray[np.float64]

    def masks_of(self, view: int) -> Tensor:
        """-> (count, 256, 256) bool"""
        return self.masks[view, : int(self.counts[view])]


def read_views(paths: Sequence[Path], views: int, side: int, workers: int) -> NDArray[np.uint8]:
    """Read every photograph as `views` squares, the whole and parts of it: -> (N * views, side, side, 3)"""
    rows = [(path, view) for path in paths for view in range(views)]
    read = partial(_read_row, side=side)
    if not workers:
        return np.stack([read(row) for row in rows])
    with ProcessPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(read, rows, chunksize=8)))


def _read_row(row: tuple[Path, int], side: int) -> NDArray[np.uint8]:
    return read_view(row[0], side, row[1])


def new_stock(views: NDArray[np.uint8], cutouts: CutOuts, device: torch.device) -> Stock:
    """A stock on a device, still without masks: views (V, H, H, 3)"""
    count = len(views)
    rgba = torch.from_numpy(np.ascontiguousarray(np.asarray(cutouts.rgba).transpose(0, 3, 1, 2)))
    return Stock(
        views=torch.from_numpy(np.ascontiguousarray(views.transpose(0, 3, 1, 2))).to(device),
        masks=torch.zeros(count, MAX_MASKS, MASK_SIDE, MASK_SIDE, dtype=torch.bool, device=device),
        counts=np.zeros(count, np.int64),
        cutouts=rgba.to(device),
        sizes=cutouts.sizes,
        weights=cutouts.weights,
    )


@torch.no_grad()
def label(stock: Stock, teacher: SAM2, precision: torch.dtype = torch.float32) -> Stock:
    """The same stock with the masks of a teacher: a grid of clicks on every view, the stable and distinct answers."""
    masks, counts = stock.masks.clone(), stock.counts.copy()
    for view in tqdm(range(len(stock.views)), desc="labelling"):
        pixels = to_pixels(stock.views[view : view + 1].permute(0, 2, 3, 1).cpu().numpy()).to(teacher.device)
        pixels = F.interpolate(pixels, size=(teacher.image_size,) * 2, mode="bilinear", antialias=True)
        found = label_pixels(teacher, pixels, CLICKS_PER_SIDE, CLICKS_PER_BATCH, precision)[1][:MAX_MASKS]
        if not len(found):
            continue
        resized = F.interpolate(found[:, None].float(), size=(MASK_SIDE,) * 2, mode="bilinear", antialias=True)
        masks[view, : len(found)] = resized[:, 0] > 0.5
        counts[view] = len(found)
    return replace(stock, masks=masks, counts=counts)
