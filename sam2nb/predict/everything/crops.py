"""Where everything mode looks: grids of points, crops of the picture, tiles of very large ones. Integers and numpy
only.

A layer of crops halves the picture's sides (2 x 2, then 4 x 4 overlapping crops), so small things fill more of the
model's input (SAM, arXiv 2304.02643, appendix B). Differs from official: crops without a pixel, as tiny pictures have
them, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NEAR_EDGE_PIXELS = 20.0  # a box this close to the edge of its crop counts as cut off; as official

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """A part of the picture that is shown to the model on its own.

    box: (x0, y0, x1, y1) in pixels, one past the last column and row.
    layer: 0 the whole picture, n the 2**n x 2**n crops; chooses the point grid.
    """

    box: Box
    layer: int

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        x0, y0, x1, y1 = self.box
        return y1 - y0, x1 - x0

    @property
    def corner_xy(self) -> tuple[int, int]:
        """Where the crop's upper left pixel lies in the picture."""
        return self.box[0], self.box[1]


def point_grid(points_per_side: int) -> np.ndarray:
    """Centres of points_per_side x points_per_side equal cells of the unit square, row by row: (n * n, 2) as (x, y)"""
    offset = 1 / (2 * points_per_side)
    side = np.linspace(offset, 1 - offset, points_per_side)
    x, y = np.meshgrid(side, side)
    return np.stack((x, y), axis=-1).reshape(-1, 2)


def point_grids(points_per_side: int, num_layers: int, shrink: int) -> list[np.ndarray]:
    """One grid for the picture and one for each layer of crops, each with `shrink` times fewer points a side."""
    return [point_grid(int(points_per_side / shrink**layer)) for layer in range(num_layers + 1)]


def crop_layers(size_hw: tuple[int, int], num_layers: int, overlap_ratio: float) -> list[Crop]:
    """The whole picture, then layer by layer its crops, column after column.

    overlap_ratio: of the shorter side, what neighbours of the first layer share; halved with every further layer.
    """
    height, width = size_hw
    crops = [Crop((0, 0, width, height), 0)]
    for layer in range(1, num_layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(size_hw) * (2 / per_side))
        crop_w, crop_h = (math.ceil((overlap * (per_side - 1) + side) / per_side) for side in (width, height))
        for x0 in ((crop_w - overlap) * i for i in range(per_side)):
            for y0 in ((crop_h - overlap) * i for i in range(per_side)):
                crops.append(Crop((x0, y0, min(x0 + crop_w, width), min(y0 + crop_h, height)), layer))
    return [crop for crop in crops if min(crop.size_hw) > 0]


def tile_crops(size_hw: tuple[int, int], tile: int, overlap_ratio: float) -> list[Crop]:
    """Equal tiles of at most `tile` pixels a side that cover the picture, neighbours sharing at least `overlap_ratio`
    of a tile.

    Row by row; the tiles of one picture have one size (all layer 0).
    """
    (tops, tile_h), (lefts, tile_w) = (_spread(side, tile, overlap_ratio) for side in size_hw)
    return [Crop((x0, y0, x0 + tile_w, y0 + tile_h), 0) for y0 in tops for x0 in lefts]


def _spread(side: int, tile: int, overlap_ratio: float) -> tuple[list[int], int]:
    """Where tiles start along one side of the picture, and how long they are."""
    if side <= tile:
        return [0], side
    step = max(1, int(tile * (1 - overlap_ratio)))
    count = 1 + math.ceil((side - tile) / step)
    return [round(i * (side - tile) / (count - 1)) for i in range(count)], tile


def is_cut_off(boxes: Tensor, crops: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Whether a mask ends at the edge of its crop where the picture goes on.

    boxes: (N, 4), both corners inclusive; crops: (N or 1, 4), one past the end; both in pixels of the picture
    -> (N,) bool
    """
    picture = torch.tensor([0, 0, size_hw[1], size_hw[0]])
    near_crop, near_picture = ((boxes - edges).abs() <= NEAR_EDGE_PIXELS for edges in (crops, picture))
    return (near_crop & ~near_picture).any(dim=1)


def check_point_grids(grids: Sequence[np.ndarray], num_layers: int) -> list[np.ndarray]:
    """Point grids of the caller's own, as (N, 2) float arrays; ValueError where they cannot be used."""
    grids = [np.asarray(grid, dtype=np.float64) for grid in grids]
    if len(grids) <= num_layers:
        raise ValueError(
            f"point_grids holds {len(grids)} grids, but crop_n_layers={num_layers} needs {num_layers + 1}: "
            "one for the picture and one for each layer of crops"
        )
    for index, grid in enumerate(grids):
        if grid.ndim != 2 or grid.shape[1] != 2:
            raise ValueError(f"point_grids[{index}] must be an (N, 2) array of (x, y), got shape {grid.shape}")
        if not ((grid >= 0) & (grid <= 1)).all():
            raise ValueError(f"point_grids[{index}] leaves the unit square: x and y must be between 0 and 1")
    return grids
