"""The memory attention: the current frame attends to what is remembered of an object.

SAM 2, arXiv 2408.00714, section 4 "Memory attention" and appendix D. Four layers, each

    x = x + self_attention(norm1(x))                  queries, keys and values from the frame
    x = x + cross_attention(norm2(x), memory)         keys and values from memories and object pointers
    x = x + linear2(relu(linear1(norm3(x))))

Axial RoPE inside the attentions encodes positions. The keys of a memory also carry its sine encoding and its row of the
temporal position table, its values do not; a tenth of the frame's own sine encoding is added to the input.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.attention import RoPEAttention

INPUT_POSITION_WEIGHT = 0.1  # as trained


class MemoryAttentionLayer(nn.Module):
    """Pre-norm layer: self attention, attention to the memories, feed-forward."""

    def __init__(self, *, width: int, memory_width: int, feedforward_width: int) -> None:
        super().__init__()
        self.self_attn = RoPEAttention(width=width, kv_width=width)
        self.cross_attn_image = RoPEAttention(width=width, kv_width=memory_width)
        self.linear1 = nn.Linear(width, feedforward_width)
        self.linear2 = nn.Linear(feedforward_width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, keys: Tensor, values: Tensor, size_hw: tuple[int, int], num_pointer_tokens: int
    ) -> Tensor:
        """tokens: (B or 1, h*w, 256), keys and values: (B, M, 64) -> (B, h*w, 256)"""
        # the frame attends to itself
        normed = self.norm1(tokens)
        tokens = tokens + self.self_attn(normed, normed, normed, size_hw)
        # the frame attends to the memories
        tokens = tokens + self.cross_attn_image(self.norm2(tokens), keys, values, size_hw, num_pointer_tokens)
        # every token on its own
        return tokens + self.linear2(F.relu(self.linear1(self.norm3(tokens))))


class MemoryAttention(nn.Module):
    """A stack of memory-attention layers with a norm at the end."""

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
        """Condition the frame's tokens on the memories of B objects.

        tokens: (B or 1, h*w, 256), one frame serves all objects; position: (1, h*w, 256)
        memory: (B, n*h*w + num_pointer_tokens, 64), object pointers last; memory_position: the same shape, or batch 1
        -> (B, h*w, 256)
        """
        # a tenth of the frame's position encoding; all of that of the memories, in the keys only
        x = tokens + INPUT_POSITION_WEIGHT * position
        keys, values = memory + memory_position, memory
        for layer in self.layers:
            x = layer(x, keys, values, size_hw, num_pointer_tokens)
        return self.norm(x)
