"""Small layers that several boxes share, and the two layouts of features.

Maps are (B, C, h, w), tokens are (B, N, C); `to_tokens` and `to_map` are the only bridge between them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_2D_EPS = 1e-6  # as trained; PyTorch's default is 1e-5


def to_tokens(grid: Tensor) -> Tensor:
    """Flatten a map row by row into tokens: (B, C, h, w) -> (B, h*w, C)."""
    return grid.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Lay tokens out as a map, the inverse of `to_tokens`: (B, h*w, C) -> (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, size_hw)


def identity(x: Tensor) -> Tensor:
    """Return the input."""
    return x


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of a map, pixel by pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, grid: Tensor) -> Tensor:
        """grid: (B, C, h, w) -> (B, C, h, w)"""
        channels_last = grid.permute(0, 2, 3, 1)
        normed = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, NORM_2D_EPS)
        return normed.permute(0, 3, 1, 2)


class MLP(nn.Module):
    """Linear layers with an activation between them.

    widths: input, hidden …, output, so `MLP(256, 1024, 256)` has two layers.
    output: applied to the last layer's output, for example `torch.sigmoid`; the identity by default.
    """

    def __init__(
        self,
        *widths: int,
        activation: Callable[[Tensor], Tensor] = F.relu,
        output: Callable[[Tensor], Tensor] = identity,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.activation = activation
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., widths[0]) -> (..., widths[-1])"""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return self.output(last(x))


def window_partition(grid: Tensor, window: int) -> Tensor:
    """Cut a channels-last map into square windows, after padding it with zeros at the right and bottom.

    The padding takes part in attention like any other token: the published weights were trained this way.

    grid: (B, h, w, C) -> (B * rows * columns, window, window, C)
    """
    height, width = grid.shape[1:3]
    padded = F.pad(grid, (0, 0, 0, -width % window, 0, -height % window))
    windows = padded.unflatten(2, (-1, window)).unflatten(1, (-1, window))  # (B, rows, window, columns, window, C)
    return windows.transpose(2, 3).flatten(0, 2)


def window_unpartition(windows: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Put the windows back and drop the padding, the inverse of `window_partition`.

    windows: (B * rows * columns, window, window, C) -> (B, h, w, C)
    """
    height, width = size_hw
    window = windows.shape[1]
    rows, columns = -(-height // window), -(-width // window)
    grid = windows.unflatten(0, (-1, rows, columns)).transpose(2, 3)  # (B, rows, window, columns, window, C)
    return grid.flatten(3, 4).flatten(1, 2)[:, :height, :width]
