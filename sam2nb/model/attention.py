"""Multi-head attention, plain for the mask decoder and rotary for the memory attention.

    attention(q, k, v) = softmax(q k^T / sqrt(c)) v, with c channels per head

Vaswani et al., arXiv 1706.03762, section 3.2; rotary position encoding in two dimensions, arXiv 2403.13298. Cheaper
orders of the same products are in `sam2nb/fast/attention.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.positional import axial_rope, rotate


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than its outer width."""

    def __init__(self, *, width: int, num_heads: int, inner_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(width, inner_width)
        self.k_proj = nn.Linear(width, inner_width)
        self.v_proj = nn.Linear(width, inner_width)
        self.out_proj = nn.Linear(inner_width, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q: (B or 1, N, C), k and v: (B or 1, M, C) -> (B, N, C)"""
        # project and split into heads: (B, heads, N, c)
        q, k, v = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        q, k, v = (split_heads(tokens, self.num_heads) for tokens in (q, k, v))
        # every query becomes a weighted sum of the values
        return self.out_proj(merge_heads(attend(q, k, v)))


class RoPEAttention(nn.Module):
    """Attention between grids with one head, queries and keys rotated by their position (axial RoPE).

    The keys may hold several grids one after the other (one per remembered frame) and, after them, tokens without a
    position (object pointers), which are not rotated. They may be narrower than the queries (kv_width).
    """

    def __init__(self, *, width: int, kv_width: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(kv_width, width)
        self.v_proj = nn.Linear(kv_width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, size_hw: tuple[int, int], num_pointer_tokens: int = 0) -> Tensor:
        """q: (B or 1, h*w, C), k and v: (B, n*h*w + num_pointer_tokens, C_kv) -> (B, h*w, C)"""
        q, k, v = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        rotation = axial_rope(q.shape[-1], size_hw).to(q.device)
        # rotate the queries, and the keys grid by grid; the pointer tokens at the end stay as they are
        q = rotate(q, rotation)
        grids, pointers = k.split((k.shape[1] - num_pointer_tokens, num_pointer_tokens), dim=1)
        grids = rotate(grids.unflatten(1, (-1, len(rotation))), rotation).flatten(1, 2)
        k = torch.cat((grids, pointers), dim=1)
        # one head: (B, 1, N, C)
        attended = attend(q[:, None], k[:, None], v[:, None])
        return self.out_proj(attended[:, 0])


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(c)) v, where a batch of one on either side is shared by the whole batch of the other.

    q: (B or 1, heads, N, c), k and v: (B or 1, heads, M, c) -> (B, heads, N, c)
    """
    batch = max(q.shape[0], k.shape[0])
    q, k, v = (tokens.expand(batch, -1, -1, -1) for tokens in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v)


def split_heads(tokens: Tensor, num_heads: int) -> Tensor:
    """(B, N, C) -> (B, heads, N, C / heads)"""
    return tokens.unflatten(2, (num_heads, -1)).transpose(1, 2)


def merge_heads(tokens: Tensor) -> Tensor:
    """The inverse of `split_heads`: (B, heads, N, c) -> (B, N, heads * c)"""
    return tokens.transpose(1, 2).flatten(2)
