"""Four codes for "where" and "when".

- `sine_code`: fixed sines of the grid, added to memories (Vaswani et al., arXiv 1706.03762, in two dimensions).
- `RandomFourier`: random frequencies shared by prompts and image (SAM, arXiv 2304.02643, section A).
- `axial_rope` / `rotate`: rotary code of the memory attention, half of the channels for x, half for y (arXiv
2403.13298).
- `time_code`: sines of one number, the distance of an object pointer in time.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

TEMPERATURE = 10_000.0  # the wavelengths run from 2 pi to 2 pi * TEMPERATURE
GRID_EPS = 1e-6  # as trained: the last row stands a hair before 2 pi


def _off_the_record(build):
    """Constants must be ordinary tensors even when the first call happens under inference mode or a gradient."""

    def built(*args):
        with torch.inference_mode(False), torch.no_grad():
            return build(*args)

    return built


@lru_cache(maxsize=16)
@_off_the_record
def sine_code(channels: int, size_hw: tuple[int, int], device: torch.device) -> Tensor:
    """Sine position code of a grid, y in the first half of the channels, x in the second.

    -> (1, channels, h, w), float32
    """
    per_axis = channels // 2
    exponent = 2 * torch.div(torch.arange(per_axis, device=device), 2, rounding_mode="floor") / per_axis
    wavelength = TEMPERATURE**exponent

    def axis(length: int) -> Tensor:
        place = torch.arange(1, length + 1, device=device, dtype=torch.float32)
        angle = (place / (place[-1] + GRID_EPS) * 2 * math.pi)[:, None] / wavelength
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    height, width = size_hw
    y = axis(height)[:, None].expand(height, width, per_axis)
    x = axis(width)[None, :].expand(height, width, per_axis)
    return torch.cat((y, x), dim=2).permute(2, 0, 1)[None].contiguous()


def time_code(distance: Tensor, channels: int) -> Tensor:
    """Sine code of one number: all sines, then all cosines.

    distance: (N,), 1.0 at the far end of the span -> (N, channels)
    """
    half = channels // 2
    exponent = 2 * torch.div(torch.arange(half, device=distance.device), 2, rounding_mode="floor") / half
    angle = distance[:, None] / TEMPERATURE**exponent
    return torch.cat((angle.sin(), angle.cos()), dim=1)


class RandomFourier(nn.Module):
    """Random Fourier features of points in the unit square; the frequencies are part of the checkpoint."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, channels // 2))
        self._grid: tuple[tuple, Tensor] | None = None

    def forward(self, unit_xy: Tensor) -> Tensor:
        """unit_xy: (..., 2) in 0..1 -> (..., channels)"""
        matrix = self.positional_encoding_gaussian_matrix
        angle = 2 * math.pi * ((2 * unit_xy.to(matrix.dtype) - 1) @ matrix)
        return torch.cat((angle.sin(), angle.cos()), dim=-1)

    def grid(self, size_hw: tuple[int, int]) -> Tensor:
        """The code of every cell's centre, kept for the next call.

        -> (1, channels, h, w)
        """
        matrix = self.positional_encoding_gaussian_matrix
        key = (size_hw, matrix.device, matrix.dtype, matrix.data_ptr(), matrix._version)
        if self._grid is None or self._grid[0] != key:
            self._grid = (key, self._build_grid(size_hw))
        return self._grid[1]

    @_off_the_record
    def _build_grid(self, size_hw: tuple[int, int]) -> Tensor:
        height, width = size_hw
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        centres = torch.stack((x[None, :].expand(height, width), y[:, None].expand(height, width)), dim=-1)
        return self(centres).permute(2, 0, 1)[None].contiguous()


@lru_cache(maxsize=16)
@_off_the_record
def axial_rope(channels: int, size_hw: tuple[int, int], device: torch.device) -> Tensor:
    """Rotation of every adjacent channel pair at every place of a grid, as unit complex numbers.

    The first half of the pairs turns with x, the second with y.

    -> (h*w, channels / 2), complex64
    """
    height, width = size_hw
    frequency = 1.0 / TEMPERATURE ** (torch.arange(0, channels, 4, device=device)[: channels // 4].float() / channels)
    place = torch.arange(height * width, device=device)
    x = (place % width).float()
    y = torch.div(place, width, rounding_mode="floor").float()
    angle = torch.cat((torch.outer(x, frequency), torch.outer(y, frequency)), dim=1)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(tokens: Tensor, turn: Tensor) -> Tensor:
    """Turn adjacent channel pairs by the rotary code, in float32 whatever the input.

    tokens: (..., N, C), turn: (N, C / 2) complex -> (..., N, C)
    """
    pairs = torch.view_as_complex(tokens.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2).to(tokens.dtype)
