"""Small layers that several boxes share.

Maps are (B, C, h, w), tokens are (B, N, C); `to_tokens` and `to_map` are the only bridge between them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOKENS_PER_BAND = 2048  # some megabytes of activations, the size of a core's share of the cache


def to_tokens(grid: Tensor) -> Tensor:
    """A map as a row-by-row list of tokens: (B, C, h, w) -> (B, h*w, C)."""
    return grid.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """The inverse of `to_tokens`: (B, h*w, C) -> (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, size_hw)


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of a map, pixel by pixel."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, grid: Tensor) -> Tensor:
        """grid: (B, C, h, w) -> (B, C, h, w)"""
        channels_last = grid.permute(0, 2, 3, 1)
        return F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class MLP(nn.Module):
    """Linear layers with an activation between them, none after the last.

    widths: input, hidden …, output, so `MLP(256, 1024, 256)` has two layers.
    """

    def __init__(self, *widths: int, activation: Callable[[Tensor], Tensor] = F.relu) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., widths[0]) -> (..., widths[-1])"""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)


def window_partition(grid: Tensor, window: int, padding: Tensor | None = None) -> Tensor:
    """Cut a channels-last map into square windows, after padding it at the right and bottom.

    The padding takes part in attention like any other token: the published weights were trained so.

    grid: (B, h, w, C); padding: (C,), zeros if not given -> (B * rows * columns, window, window, C)
    """
    batch, height, width, channels = grid.shape
    rows, columns = -(-height // window), -(-width // window)
    if (rows * window, columns * window) != (height, width):
        padding = grid.new_zeros(channels) if padding is None else padding.to(grid.dtype)
        padded = padding.expand(batch, rows * window, columns * window, channels).clone()
        padded[:, :height, :width] = grid
        grid = padded
    windows = grid.view(batch, rows, window, columns, window, channels).transpose(2, 3)
    return windows.reshape(-1, window, window, channels)


def window_unpartition(windows: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Put the windows back and drop the padding: the inverse of `window_partition`.

    windows: (B * rows * columns, window, window, C) -> (B, h, w, C)
    """
    height, width = size_hw
    window, channels = windows.shape[1], windows.shape[3]
    rows, columns = -(-height // window), -(-width // window)
    grid = windows.view(-1, rows, columns, window, window, channels).transpose(2, 3)
    grid = grid.reshape(-1, rows * window, columns * window, channels)[:, :height, :width]
    return grid.contiguous()  # a linear layer on a cut-out map would copy its weights once per row of the map


def in_bands(function: Callable[[Tensor], Tensor], grid: Tensor, step: int) -> Tensor:
    """Apply a function that treats every `step` rows of a map on their own.

    On a CPU without gradients it goes band by band, so that what the function makes in between stays in the cache and
    is not asked of the operating system anew, page by page, at every layer. Elsewhere, all at once.

    grid: (B, h, w, C) -> (B, h', w', C')
    """
    batch, height, width, _ = grid.shape
    tokens = TOKENS_PER_BAND * (2 if torch.is_autocast_enabled("cpu") else 1)
    rows = step * max(1, tokens // (batch * step * width))
    if grid.device.type != "cpu" or torch.is_grad_enabled() or rows >= height:
        return function(grid)
    return torch.cat([function(band) for band in grid.split(rows, dim=1)], dim=1)
