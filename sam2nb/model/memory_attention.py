"""The memory attention: a frame looks at what is remembered (SAM 2, arXiv 2408.00714, section 4 and appendix D).

Four layers of self attention, attention to memories and object pointers, and a feed-forward part. Places are told by
axial rotary codes; a memory's keys also carry its sine code and its row of the time table, its values and the queries
do not.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.attention import RoPEAttention

INPUT_POSITION_WEIGHT = 0.1  # as trained


class MemoryAttentionLayer(nn.Module):
    """Pre-norm: self attention, attention to memory, feed-forward."""

    def __init__(self, *, width: int, memory_width: int, feedforward_width: int) -> None:
        super().__init__()
        self.self_attn = RoPEAttention(width=width, num_heads=1)
        self.cross_attn_image = RoPEAttention(width=width, num_heads=1, kv_width=memory_width)
        self.linear1 = nn.Linear(width, feedforward_width)
        self.linear2 = nn.Linear(feedforward_width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, keys: Tensor, values: Tensor, size_hw: tuple[int, int], num_pointer_tokens: int
    ) -> Tensor:
        """tokens: (B or 1, h*w, 256), keys and values: (B, M, 64) -> (B, h*w, 256)"""
        normed = self.norm1(tokens)
        tokens = tokens + self.self_attn(normed, normed, normed, size_hw)
        tokens = tokens + self.cross_attn_image(self.norm2(tokens), keys, values, size_hw, num_pointer_tokens)
        return tokens + self.linear2(F.relu(self.linear1(self.norm3(tokens))))


class MemoryAttention(nn.Module):
    """A stack of such layers with a last norm."""

    def __init__(self, *, width: int, memory_width: int, feedforward_width: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(width=width, memory_width=memory_width, feedforward_width=feedforward_width)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        size_hw: tuple[int, int],
        num_pointer_tokens: int,
    ) -> Tensor:
        """The frame's tokens, conditioned on what is remembered of B objects.

        tokens: (B or 1, h*w, 256), a single frame serves all objects; position: (1, h*w, 256)
        memory: (B, n*h*w + num_pointer_tokens, 64), object pointers last; memory_position: the same shape, or batch 1
        -> (B, h*w, 256)
        """
        x = tokens + INPUT_POSITION_WEIGHT * position
        keys = memory + memory_position
        for layer in self.layers:
            x = layer(x, keys, memory, size_hw, num_pointer_tokens)
        return self.norm(x)
