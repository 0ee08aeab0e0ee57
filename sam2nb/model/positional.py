"""Four position encodings: sine grid, random Fourier features, axial RoPE, time.

- `SineEncoding`: fixed sines of the grid, added to memories (Vaswani et al., arXiv 1706.03762, in two dimensions).
- `RandomFourier`: random frequencies shared by prompts and image (SAM, arXiv 2304.02643, appendix A).
- `axial_rope`, `rotate`: rotary encoding of the memory attention, half of the channels for x and half for y
  (arXiv 2403.13298).
- `time_encoding`: sines of one number, the distance of an object pointer in time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

TEMPERATURE = 10_000.0  # the wavelengths run from 2 pi to 2 pi * TEMPERATURE
GRID_EPS = 1e-6  # as trained: the last row is just below 2 pi


class SineEncoding(nn.Module):
    """Sine position encoding of a grid, y in the first half of the channels, x in the second.

    With s the position on an axis, 2 pi at its end, and C channels per axis, channels 2i and 2i+1 hold
    sin(s / T^(2i/C)) and cos(s / T^(2i/C)).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels_per_axis = channels // 2

    def forward(self, grid: Tensor) -> Tensor:
        """grid: (B, any, h, w), read for its size and device -> (1, channels, h, w), float32"""
        height, width = grid.shape[-2:]
        # one encoding per row and one per column, spread over the grid
        y = self.encode_axis(height).to(grid.device)[:, None].expand(-1, width, -1)
        x = self.encode_axis(width).to(grid.device)[None, :].expand(height, -1, -1)
        return torch.cat((y, x), dim=2).permute(2, 0, 1)[None].contiguous()

    def encode_axis(self, length: int) -> Tensor:
        """-> (length, channels / 2)"""
        # positions count from one
        position = torch.arange(1, length + 1, dtype=torch.float32)
        angle = position / (position[-1] + GRID_EPS) * 2 * math.pi
        # sines and cosines of the same wavelength side by side
        angle = angle[:, None] / wavelengths(self.channels_per_axis)
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)


def time_encoding(distance: Tensor, channels: int) -> Tensor:
    """Sine encoding of one number: all sines, then all cosines.

    distance: (N,), 1.0 at the far end of the span -> (N, channels)
    """
    angle = distance[:, None] / wavelengths(channels // 2).to(distance.device)
    return torch.cat((angle.sin(), angle.cos()), dim=1)


def wavelengths(count: int) -> Tensor:
    """T^(0/count), T^(0/count), T^(2/count), T^(2/count), …: every wavelength twice -> (count,)"""
    pair = torch.div(torch.arange(count), 2, rounding_mode="floor")
    return TEMPERATURE ** (2 * pair / count)


class RandomFourier(nn.Module):
    """Random Fourier features of positions in the unit square: sin and cos of 2 pi (2 xy - 1) G.

    The frequencies G are random but part of the checkpoint: prompts and image must agree on them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, channels // 2))

    def forward(self, size_hw: tuple[int, int]) -> Tensor:
        """The encoding of every cell's centre: -> (1, channels, h, w)"""
        height, width = size_hw
        y = (torch.arange(height) + 0.5) / height
        x = (torch.arange(width) + 0.5) / width
        centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (h, w, 2)
        centres = centres.to(self.positional_encoding_gaussian_matrix.device)
        return self.encode(centres).permute(2, 0, 1)[None].contiguous()

    def encode(self, unit_xy: Tensor) -> Tensor:
        """unit_xy: (..., 2) in 0..1 -> (..., channels)"""
        frequencies = self.positional_encoding_gaussian_matrix
        angle = 2 * math.pi * ((2 * unit_xy.to(frequencies.dtype) - 1) @ frequencies)
        return torch.cat((angle.sin(), angle.cos()), dim=-1)


def axial_rope(channels: int, size_hw: tuple[int, int]) -> Tensor:
    """Rotation of every pair of channels at every position of a grid, as unit complex numbers exp(i p / T^(4j/C)).

    The first half of the pairs rotates with p = x, the second with p = y.

    -> (h*w, channels / 2), complex64
    """
    height, width = size_hw
    frequency = 1.0 / TEMPERATURE ** (torch.arange(0, channels, 4).float() / channels)
    # the position of every cell, row by row
    cell = torch.arange(height * width)
    x = (cell % width).float()
    y = torch.div(cell, width, rounding_mode="floor").float()
    angle = torch.cat((torch.outer(x, frequency), torch.outer(y, frequency)), dim=1)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(tokens: Tensor, rotation: Tensor) -> Tensor:
    """Rotate adjacent pairs of channels: as complex numbers, multiply; in float32 whatever the input.

    tokens: (..., N, C), rotation: (N, C / 2) complex -> (..., N, C)
    """
    pairs = torch.view_as_complex(tokens.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * rotation).flatten(-2).to(tokens.dtype)
