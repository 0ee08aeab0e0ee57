"""Point grids, crops of an image, and tiles of very large images.

Each layer of crops halves the sides of what the model sees (2 x 2, then 4 x 4 overlapping crops), so that small objects
fill more of its input (SAM, arXiv 2304.02643, appendix B). Integers and numpy only.

Differs from the official package: crops without a pixel, which tiny images have, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NEAR_EDGE_PIXELS = 20.0  # a box this close to the edge of its crop counts as cut off, as in the official package

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """A part of the image that the model sees on its own.

    box: (x0, y0, x1, y1) in pixels, one past the last column and row.
    layer: 0 for the whole image, n for the 2**n x 2**n crops; selects the point grid.
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
        """Position of the crop's upper left pixel in the image."""
        return self.box[0], self.box[1]


def point_grid(points_per_side: int) -> np.ndarray:
    """Centres of points_per_side x points_per_side equal cells of the unit square, row by row: (n * n, 2) as (x, y)"""
    offset = 1 / (2 * points_per_side)
    side = np.linspace(offset, 1 - offset, points_per_side)
    x, y = np.meshgrid(side, side)
    return np.stack((x, y), axis=-1).reshape(-1, 2)


def point_grids(points_per_side: int, num_layers: int, downscale_factor: int) -> list[np.ndarray]:
    """One grid for the image and one for each layer of crops, each with `downscale_factor` times fewer points a side.

    Raises ValueError if a layer would have no point.
    """
    if points_per_side < 1 or int(points_per_side / downscale_factor**num_layers) < 1:
        raise ValueError(
            f"points_per_side={points_per_side} leaves no point in crop layer {num_layers} "
            f"with crop_n_points_downscale_factor={downscale_factor}"
        )
    return [point_grid(int(points_per_side / downscale_factor**layer)) for layer in range(num_layers + 1)]


def check_point_grids(grids: Sequence[np.ndarray], num_layers: int) -> list[np.ndarray]:
    """Point grids of the caller as (N, 2) float arrays; ValueError if they cannot be used."""
    grids = [np.asarray(grid, dtype=np.float64) for grid in grids]
    if len(grids) <= num_layers:
        raise ValueError(
            f"point_grids holds {len(grids)} grids, but crop_n_layers={num_layers} needs {num_layers + 1}: "
            "one for the image and one for each layer of crops"
        )
    for index, grid in enumerate(grids):
        if grid.ndim != 2 or grid.shape[1] != 2:
            raise ValueError(f"point_grids[{index}] must be an (N, 2) array of (x, y), got shape {grid.shape}")
        if not ((grid >= 0) & (grid <= 1)).all():
            raise ValueError(f"point_grids[{index}] leaves the unit square: x and y must be between 0 and 1")
    return grids


def crop_layers(size_hw: tuple[int, int], num_layers: int, overlap_ratio: float) -> list[Crop]:
    """The whole image, then layer by layer its crops, column by column.

    overlap_ratio: overlap of neighbours in the first layer, as a share of the image's shorter side; halved with every
        further layer.
    """
    height, width = size_hw
    crops = [whole_image(size_hw)]
    for layer in range(1, num_layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(size_hw) * (2 / per_side))
        crop_w, crop_h = (math.ceil((overlap * (per_side - 1) + side) / per_side) for side in (width, height))
        for x0 in ((crop_w - overlap) * i for i in range(per_side)):
            for y0 in ((crop_h - overlap) * i for i in range(per_side)):
                crops.append(Crop((x0, y0, min(x0 + crop_w, width), min(y0 + crop_h, height)), layer))
    return [crop for crop in crops if min(crop.size_hw) > 0]


def tile_crops(size_hw: tuple[int, int], tile: int, overlap_ratio: float) -> list[Crop]:
    """Tiles of one size that cover the image, row by row.

    tile: longest side of a tile in pixels. overlap_ratio: smallest overlap of neighbours, as a share of a tile's side.
    """
    (tops, tile_h), (lefts, tile_w) = (_spread(side, tile, overlap_ratio) for side in size_hw)
    return [Crop((x0, y0, x0 + tile_w, y0 + tile_h), 0) for y0 in tops for x0 in lefts]


def whole_image(size_hw: tuple[int, int]) -> Crop:
    """The image itself as a crop."""
    return Crop((0, 0, size_hw[1], size_hw[0]), 0)


def _spread(side: int, tile: int, overlap_ratio: float) -> tuple[list[int], int]:
    """Starts of the tiles along one side of the image, and their length."""
    if side <= tile:
        return [0], side
    step = max(1, int(tile * (1 - overlap_ratio)))
    count = 1 + math.ceil((side - tile) / step)
    return [round(i * (side - tile) / (count - 1)) for i in range(count)], tile


def is_cut_off(boxes: Tensor, crop_boxes: Tensor, size_hw: tuple[int, int], atol: float = NEAR_EDGE_PIXELS) -> Tensor:
    """Whether a mask ends at the edge of its crop, but not at the edge of the image.

    boxes: (N, 4), both corners inclusive; crop_boxes: (N or 1, 4), one past the end; both in image pixels -> (N,) bool
    atol: how near counts, in pixels.
    """
    image_box = torch.tensor(whole_image(size_hw).box)
    near_crop, near_image = ((boxes - edges).abs() <= atol for edges in (crop_boxes, image_box))
    return (near_crop & ~near_image).any(dim=1)
