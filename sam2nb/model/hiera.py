"""The trunk of the image encoder: Hiera (arXiv 2306.00989; SAM 2, arXiv 2408.00714, section 4 and appendix D).

Four stages at strides 4, 8, 16 and 32. Most blocks attend inside windows, three of them to the whole grid. The block
that opens a stage halves the grid by max-pooling its queries and doubles the channels.

Inside this file maps are channels-last, (B, h, w, C), since every layer acts on channels; the trunk returns (B, C, h,
w). Differs from official: the position table and everything else that depends on the input size alone is built once
per
size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.layers import MLP, in_bands, window_partition, window_unpartition

NORM_EPS = 1e-6  # as trained; PyTorch's default is 1e-5
WINDOW_POSITION = 8  # side of the learned position tile that repeats over the grid


class PatchEmbed(nn.Module):
    """Overlapping 7x7 patches, one token every 4 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=7, stride=4, padding=3)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (B, 3, S, S) -> (B, S/4, S/4, C)"""
        return self.proj(pixels.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1).contiguous()


class HieraAttention(nn.Module):
    """Attention inside windows (or over the whole grid), with the queries halved where a stage opens."""

    def __init__(self, *, width_in: int, width: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window  # 0: attend to the whole grid
        self.pools_queries = width != width_in
        self.qkv = nn.Linear(width_in, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, h, w, C_in) -> (B, h, w, C), or (B, h/2, w/2, C) with pooled queries"""
        shrink = 2 if self.pools_queries else 1
        size_hw = (x.shape[1] // shrink, x.shape[2] // shrink)
        if not self.window:
            return self.proj(self.attend(self.qkv(x)))
        # only real tokens are projected: for a token of zeros, the padding as trained, the projection is its bias
        windows = window_partition(self.qkv(x), self.window, padding=self.qkv.bias)
        return self.proj(window_unpartition(self.attend(windows), size_hw))

    def attend(self, qkv: Tensor) -> Tensor:
        """qkv: (N, h, w, 3C) -> (N, h, w, C), or (N, h/2, w/2, C); all tokens of one of the N see each other"""
        q, k, v = qkv.chunk(3, dim=-1)
        if self.pools_queries:
            q = max_pool(q)
        size_hw = q.shape[1:3]
        q, k, v = (t.flatten(1, 2).unflatten(2, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).unflatten(1, size_hw)


class HieraBlock(nn.Module):
    """Pre-norm transformer block; where it opens a stage, the shortcut is projected and pooled as well."""

    def __init__(self, *, width_in: int, width: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.opens_stage = width != width_in
        self.window = window
        self.norm1 = nn.LayerNorm(width_in, eps=NORM_EPS)
        self.attn = HieraAttention(width_in=width_in, width=width, num_heads=num_heads, window=window)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = MLP(width, 4 * width, width, activation=F.gelu)
        if self.opens_stage:
            self.proj = nn.Linear(width_in, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, h, w, C_in) -> (B, h, w, C), or (B, h/2, w/2, C) where a stage opens"""
        if self.window:  # rows of windows know nothing of each other
            return in_bands(lambda band: self.transform(self.mix(band)), x, self.window)
        return in_bands(self.transform, self.mix(x), 1)

    def mix(self, x: Tensor) -> Tensor:
        """Tokens look at each other: (B, h, w, C_in) -> (B, h, w, C), or (B, h/2, w/2, C) where a stage opens"""
        normed = self.norm1(x)
        shortcut = max_pool(self.proj(normed)) if self.opens_stage else x
        return shortcut + self.attn(normed)

    def transform(self, x: Tensor) -> Tensor:
        """Every token on its own: (B, h, w, C) -> (B, h, w, C)"""
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
        width_in = embed_dim
        for stage, count in enumerate(stages):
            width = embed_dim * 2**stage
            for place in range(count):
                # opens a stage, but still on the old window (as trained)
                window = windows[stage - 1] if place == 0 and stage else windows[stage]
                if len(self.blocks) in global_blocks:
                    window = 0
                block = HieraBlock(width_in=width_in, width=width, num_heads=num_heads * 2**stage, window=window)
                self.blocks.append(block)
                width_in = width
        self.stage_ends = [sum(stages[: i + 1]) - 1 for i in range(len(stages))]
        self.widths = [embed_dim * 2**stage for stage in range(len(stages))]
        self._position: tuple[tuple, Tensor] | None = None
        for table in (self.pos_embed, self.pos_embed_window):
            nn.init.trunc_normal_(table, std=0.02)

    def position(self, size_hw: tuple[int, int]) -> Tensor:
        """The learned table stretched over the grid plus the tile repeated over it: -> (1, h, w, C)

        Without gradients it is kept for the next picture of the same size, as long as the tables stay as they are.
        """
        if torch.is_grad_enabled():
            return self._build_position(size_hw)
        tables = (self.pos_embed, self.pos_embed_window)
        key = (size_hw, *((table.device, table.dtype, table.data_ptr(), table._version) for table in tables))
        if self._position is None or self._position[0] != key:
            with torch.inference_mode(False), torch.no_grad():  # an ordinary tensor, whoever asks first
                self._position = (key, self._build_position(size_hw))
        return self._position[1]

    def _build_position(self, size_hw: tuple[int, int]) -> Tensor:
        stretched = F.interpolate(self.pos_embed, size=size_hw, mode="bicubic")
        repeats = [-(-side // WINDOW_POSITION) for side in size_hw]
        tiled = self.pos_embed_window.tile(1, 1, *repeats)[:, :, : size_hw[0], : size_hw[1]]
        return (stretched + tiled).permute(0, 2, 3, 1).contiguous()

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """pixels: (B, 3, S, S) -> one map per stage, finest first: (B, C, S/4, S/4), (B, 2C, S/8, S/8), …"""
        x = self.patch_embed(pixels)
        x = x + self.position(x.shape[1:3])
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps


def max_pool(grid: Tensor) -> Tensor:
    """Keep the largest of every 2x2 cells, channel by channel: (B, h, w, C) -> (B, h/2, w/2, C)"""
    # on this layout twice as fast as F.max_pool2d, which also notes where each maximum was
    rows = torch.maximum(grid[:, 0::2], grid[:, 1::2])
    return torch.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
