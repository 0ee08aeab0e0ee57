"""The trunk on a CPU: bands of rows that stay in the cache, and windows that project real tokens only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sam2nb.fast.positions import kept_with
from sam2nb.model.hiera import (
    GlobalBlock,
    Hiera,
    HieraAttention,
    PatchEmbed,
    PooledAttention,
    StageOpeningBlock,
    WindowedBlock,
    attend_on_maps,
)

TOKENS_PER_BAND = 2048  # some megabytes of activations, the size of a core's share of the cache


def channels_last_patches(patches: PatchEmbed, pixels: Tensor) -> Tensor:
    """`PatchEmbed.forward`, convolved in the layout that it returns: (B, 3, S, S) -> (B, S/4, S/4, C)"""
    return patches.proj(pixels.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1).contiguous()


def cached_position(trunk: Hiera, size_hw: tuple[int, int]) -> Tensor:
    """`Hiera.position`, kept between images: -> (1, h, w, C)"""
    tables = (trunk.pos_embed, trunk.pos_embed_window)
    return kept_with(trunk, tuple(size_hw), tables, lambda: Hiera.position(trunk, size_hw).contiguous())


def windowed_block(block: WindowedBlock, x: Tensor) -> Tensor:
    """`WindowedBlock.forward`, a few rows of windows at a time: (B, h, w, C) -> (B, h, w, C)"""

    def rows_of_windows(band: Tensor) -> Tensor:
        size_hw = band.shape[1:3]
        return _feed_forward(block, band + _attend_in_windows(block.attn, block.norm1(band), block.window, size_hw))

    return in_bands(rows_of_windows, x, block.window)


def global_block(block: GlobalBlock, x: Tensor) -> Tensor:
    """`GlobalBlock.forward`, with the feed-forward part a few rows at a time: (B, h, w, C) -> (B, h, w, C)"""
    x = x + block.attn(block.norm1(x))
    return in_bands(lambda band: _feed_forward(block, band), x, 1)


def stage_opening_block(block: StageOpeningBlock, x: Tensor) -> Tensor:
    """`StageOpeningBlock.forward`, a few rows of windows at a time: (B, h, w, C_in) -> (B, h/2, w/2, C)"""

    def rows_of_windows(band: Tensor) -> Tensor:
        normed = block.norm1(band)
        shortcut = max_pool(block.proj(normed))
        attended = _attend_in_windows(block.attn, normed, block.window, shortcut.shape[1:3])
        return _feed_forward(block, shortcut + attended)

    return in_bands(rows_of_windows, x, block.window)


def _feed_forward(block: WindowedBlock | GlobalBlock | StageOpeningBlock, x: Tensor) -> Tensor:
    return x + block.mlp(block.norm2(x))


def _attend_in_windows(
    attention: HieraAttention | PooledAttention, normed: Tensor, window: int, size_hw: tuple[int, int]
) -> Tensor:
    """Attention inside windows that projects real tokens only.

    For a token of zeros, the padding as trained, the projection is its bias.

    normed: (B, h, w, C_in) -> (B, *size_hw, C)
    """
    windows = window_partition(attention.qkv(normed), window, padding=attention.qkv.bias)
    q, k, v = windows.chunk(3, dim=-1)
    if isinstance(attention, PooledAttention):
        q = max_pool(q)
    return attention.proj(window_unpartition(attend_on_maps(q, k, v, attention.num_heads), size_hw))


def in_bands(function: Callable[[Tensor], Tensor], grid: Tensor, step: int) -> Tensor:
    """Apply a function that treats every `step` rows of a map independently.

    On a CPU without gradients it runs band by band, so that intermediates stay in the cache and memory is not
    reallocated for every layer. Elsewhere, all at once.

    grid: (B, h, w, C) -> (B, h', w', C')
    """
    batch, height, width, _ = grid.shape
    tokens = TOKENS_PER_BAND * (2 if torch.is_autocast_enabled("cpu") else 1)
    rows = step * max(1, tokens // (batch * step * width))
    if grid.device.type != "cpu" or torch.is_grad_enabled() or rows >= height:
        return function(grid)
    return torch.cat([function(band) for band in grid.split(rows, dim=1)], dim=1)


def window_partition(grid: Tensor, window: int, padding: Tensor) -> Tensor:
    """`model.layers.window_partition` with a padding of the caller's choice.

    grid: (B, h, w, C); padding: (C,) -> (B * rows * columns, window, window, C)
    """
    batch, height, width, channels = grid.shape
    rows, columns = -(-height // window), -(-width // window)
    if (rows * window, columns * window) != (height, width):
        padded = padding.to(grid.dtype).expand(batch, rows * window, columns * window, channels).clone()
        padded[:, :height, :width] = grid
        grid = padded
    windows = grid.view(batch, rows, window, columns, window, channels).transpose(2, 3)
    return windows.reshape(-1, window, window, channels)


def window_unpartition(windows: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """`model.layers.window_unpartition`, contiguous.

    A linear layer on a cut-out map would copy its weights once per row of the map.

    windows: (B * rows * columns, window, window, C) -> (B, h, w, C)
    """
    height, width = size_hw
    window, channels = windows.shape[1], windows.shape[3]
    rows, columns = -(-height // window), -(-width // window)
    grid = windows.view(-1, rows, columns, window, window, channels).transpose(2, 3)
    return grid.reshape(-1, rows * window, columns * window, channels)[:, :height, :width].contiguous()


def max_pool(grid: Tensor) -> Tensor:
    """`model.hiera.max_pool`: (B, h, w, C) -> (B, h/2, w/2, C)

    On this layout twice as fast as F.max_pool2d, which also notes where each maximum was.
    """
    rows = torch.maximum(grid[:, 0::2], grid[:, 1::2])
    return torch.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
