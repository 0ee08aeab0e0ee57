"""Hiera, the trunk of the image encoder.

Ryali et al., arXiv 2306.00989; SAM 2, arXiv 2408.00714, section 4 and appendix D. Four stages at strides 4, 8, 16
and 32. Most blocks attend inside windows, a few (three in Meta's trunks) to the whole grid. The block that opens a
stage halves the grid by max-pooling its queries and doubles the channels. Every block is pre-norm with two residuals:

    x = x + attention(norm1(x))
    x = x + mlp(norm2(x))

Inside this file maps are channels-last, (B, h, w, C), since every layer acts on channels; the trunk returns
(B, C, h, w). Differs from the official package: three small blocks in place of one with flags.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.attention import attend, merge_heads, split_heads
from sam2nb.model.layers import MLP, window_partition, window_unpartition

NORM_EPS = 1e-6  # as trained; PyTorch's default is 1e-5
WINDOW_POSITION = 8  # side of the learned position tile that repeats over the grid


class PatchEmbed(nn.Module):
    """Overlapping 7x7 patches, one token every 4 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=7, stride=4, padding=3)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (B, 3, S, S) -> (B, S/4, S/4, C)"""
        return self.proj(pixels).permute(0, 2, 3, 1)


class HieraAttention(nn.Module):
    """Multi-head attention among all tokens of a map or window."""

    def __init__(self, *, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, h, w, C) -> (N, h, w, C)"""
        # queries, keys and values of all tokens in one product
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.proj(attend_on_maps(q, k, v, self.num_heads))


class PooledAttention(nn.Module):
    """Attention that opens a stage: more channels, and queries max-pooled to half the grid."""

    def __init__(self, *, width_in: int, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width_in, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, h, w, C_in) -> (N, h/2, w/2, C)"""
        # queries, keys and values of all tokens in one product
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        # a quarter of the queries, each attending to all keys
        return self.proj(attend_on_maps(max_pool(q), k, v, self.num_heads))


class GlobalBlock(nn.Module):
    """Transformer block that attends to the whole grid."""

    def __init__(self, *, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = HieraAttention(width=width, num_heads=num_heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = MLP(width, 4 * width, width, activation=F.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, h, w, C) -> (B, h, w, C)"""
        # every token attends to all others, then passes the MLP on its own
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class WindowedBlock(nn.Module):
    """Transformer block that attends inside windows."""

    def __init__(self, *, width: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = HieraAttention(width=width, num_heads=num_heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = MLP(width, 4 * width, width, activation=F.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, h, w, C) -> (B, h, w, C)"""
        # every window is a small map of its own
        windows = self.attn(window_partition(self.norm1(x), self.window))
        # back in place, without the padding
        x = x + window_unpartition(windows, x.shape[1:3])
        return x + self.mlp(self.norm2(x))


class StageOpeningBlock(nn.Module):
    """Windowed block that opens a stage: half the grid, twice the channels, the shortcut projected and pooled too.

    window: side of the window before pooling; it is still that of the stage before.
    """

    def __init__(self, *, width_in: int, width: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width_in, eps=NORM_EPS)
        self.attn = PooledAttention(width_in=width_in, width=width, num_heads=num_heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = MLP(width, 4 * width, width, activation=F.gelu)
        self.proj = nn.Linear(width_in, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, h, w, C_in) -> (B, h/2, w/2, C)"""
        normed = self.norm1(x)
        # the shortcut starts from the normed input (as trained)
        shortcut = max_pool(self.proj(normed))
        # every window leaves the attention with half its side
        windows = self.attn(window_partition(normed, self.window))
        x = shortcut + window_unpartition(windows, shortcut.shape[1:3])
        return x + self.mlp(self.norm2(x))


class Hiera(nn.Module):
    """The trunk.

    embed_dim: channels of the first stage, doubled by every later one.
    num_heads: heads of the first stage, doubled likewise.
    stages: blocks per stage.
    windows: side of the attention window per stage.
    global_blocks: indices of blocks that attend to the whole grid.
    position_grid: side of the learned position table, stretched to the grid.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        num_heads: int,
        stages: Sequence[int],
        windows: Sequence[int],
        global_blocks: Sequence[int],
        position_grid: int,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, embed_dim, position_grid, position_grid))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, embed_dim, WINDOW_POSITION, WINDOW_POSITION))
        self.blocks = nn.ModuleList()
        for stage, count in enumerate(stages):
            width, heads = embed_dim * 2**stage, num_heads * 2**stage
            for index_in_stage in range(count):
                if stage > 0 and index_in_stage == 0:
                    # still on the window of the stage before (as trained)
                    block = StageOpeningBlock(
                        width_in=width // 2, width=width, num_heads=heads, window=windows[stage - 1]
                    )
                elif len(self.blocks) in global_blocks:
                    block = GlobalBlock(width=width, num_heads=heads)
                else:
                    block = WindowedBlock(width=width, num_heads=heads, window=windows[stage])
                self.blocks.append(block)
        self.stage_ends = [sum(stages[: i + 1]) - 1 for i in range(len(stages))]
        self.widths = [embed_dim * 2**stage for stage in range(len(stages))]
        for table in (self.pos_embed, self.pos_embed_window):
            nn.init.trunc_normal_(table, std=0.02)

    def position(self, size_hw: tuple[int, int]) -> Tensor:
        """The learned table stretched over the grid plus the tile repeated over it: -> (1, h, w, C)"""
        # where in the image
        stretched = F.interpolate(self.pos_embed, size=size_hw, mode="bicubic")
        # where in the window
        repeats = [-(-side // WINDOW_POSITION) for side in size_hw]
        tiled = self.pos_embed_window.tile(1, 1, *repeats)[:, :, : size_hw[0], : size_hw[1]]
        return (stretched + tiled).permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """pixels: (B, 3, S, S) -> one map per stage, finest first: (B, C, S/4, S/4), (B, 2C, S/8, S/8), …"""
        # one token every 4 pixels, with its position
        x = self.patch_embed(pixels)
        x = x + self.position(x.shape[1:3])
        # keep the map with which every stage ends
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps


def attend_on_maps(q: Tensor, k: Tensor, v: Tensor, num_heads: int) -> Tensor:
    """Attention between channels-last maps, every cell a token.

    q: (N, h, w, C), k and v: (N, h', w', C) -> (N, h, w, C)
    """
    # maps to tokens, tokens to heads: (N, heads, h*w, c)
    size_hw = q.shape[1:3]
    q, k, v = (split_heads(grid.flatten(1, 2), num_heads) for grid in (q, k, v))
    # and back, with the grid of the queries
    return merge_heads(attend(q, k, v)).unflatten(1, size_hw)


def max_pool(grid: Tensor) -> Tensor:
    """Keep the largest of every 2x2 cells, channel by channel: (B, h, w, C) -> (B, h/2, w/2, C)"""
    return F.max_pool2d(grid.permute(0, 3, 1, 2), kernel_size=2, stride=2).permute(0, 2, 3, 1)
