"""Attention of the mask decoder (plain) and of the memory attention (rotary).

Both know a cheaper order of the same products. softmax(q (k W)') (v U) may be computed as softmax((q W') k') v U: with
few queries it is cheaper to carry the projections of the many keys and values over to them, and with wide keys but
narrow values to project what has been mixed instead of what is to be mixed. The weights of a softmax sum to one, so
biases follow suit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.positional import axial_rope, rotate

FEW = 15  # up to this many tokens on one side it pays to move the other side's projections over (width 256, 8 heads)
STREAM_ROWS, STREAM_KEYS = 1024, 1024  # a block of scores: 4 MiB, inside the cache


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than its outer width."""

    def __init__(
        self, *, width: int, num_heads: int, inner_width: int | None = None, kv_width: int | None = None
    ) -> None:
        super().__init__()
        inner_width = inner_width or width
        kv_width = kv_width or width
        self.num_heads = num_heads
        self.q_proj = nn.Linear(width, inner_width)
        self.k_proj = nn.Linear(kv_width, inner_width)
        self.v_proj = nn.Linear(kv_width, inner_width)
        self.out_proj = nn.Linear(inner_width, width)

    def split_heads(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)"""
        return tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q: (B, N, C), k and v: (B, M, C) -> (B, N, C). A batch of one stands for every object."""
        if len(q) == len(k) == len(v) and q.shape[1] <= FEW < k.shape[1]:
            return self.few_queries(q, k, v)
        if len(q) == len(k) == len(v) and k.shape[1] <= FEW < q.shape[1]:
            return self.few_keys(q, k, v)
        q, k, v = (self.split_heads(x) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        return self.out_proj(attend(q, k, v).transpose(1, 2).flatten(2))

    def few_queries(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As `forward`: the queries take over the projection of the keys, their answers that of the values.

        The keys' bias adds the same to all scores of a query, which a softmax does not see.
        """
        q = self.split_heads(self.q_proj(q))
        reach = q @ self.k_proj.weight.unflatten(0, (self.num_heads, -1))  # (B, heads, N, C)
        scale = q.shape[-1] ** -0.5
        found = F.scaled_dot_product_attention(reach.flatten(1, 2)[:, None], k[:, None], v[:, None], scale=scale)
        found = found[:, 0].unflatten(1, (self.num_heads, -1))  # (B, heads, N, C)
        values = found @ self.v_proj.weight.unflatten(0, (self.num_heads, -1)).transpose(1, 2)
        return self.out_proj(values.transpose(1, 2).flatten(2) + self.v_proj.bias)

    def few_keys(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As `forward`: the keys take over the projection of the queries, the values that of the output."""
        k = self.split_heads(self.k_proj(k)) * (self.out_proj.in_features // self.num_heads) ** -0.5
        v = self.split_heads(self.v_proj(v))
        reach = k @ self.q_proj.weight.unflatten(0, (self.num_heads, -1))  # (B, heads, M, C)
        bias = k @ self.q_proj.bias.unflatten(0, (self.num_heads, -1))[..., None]  # (B, heads, M, 1)
        offer = v @ self.out_proj.weight.T.unflatten(0, (self.num_heads, -1))  # (B, heads, M, C)
        scores = torch.baddbmm(bias.flatten(1).unsqueeze(1), q, reach.flatten(1, 2).transpose(1, 2))
        shares = scores.unflatten(2, (self.num_heads, -1)).softmax(dim=-1).flatten(2)  # (B, N, heads * M)
        return torch.baddbmm(self.out_proj.bias, shares, offer.flatten(1, 2))


class RoPEAttention(Attention):
    """Attention between grids: queries and keys are turned by their place (axial rotary code).

    Keys may hold several grids one after the other (one per remembered frame) and, behind them, tokens without a place
    (object pointers), which are not turned.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor, size_hw: tuple[int, int], num_placeless: int = 0) -> Tensor:
        """q: (B, h*w, C), k and v: (B, n*h*w + num_placeless, C') -> (B, h*w, C)"""
        turn = axial_rope(self.q_proj.out_features, size_hw, q.device)
        narrow = self.num_heads == 1 and v.shape[-1] < q.shape[-1]
        if narrow and q.device.type == "cpu" and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")):
            return self.stream(q, k, v, turn, num_placeless)
        q, k, v = (self.split_heads(x) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        q = rotate(q, turn)
        placed = k.shape[2] - num_placeless
        grids = k[:, :, :placed].unflatten(2, (-1, len(turn)))
        k = torch.cat((rotate(grids, turn).flatten(2, 3), k[:, :, placed:]), dim=2)
        return self.out_proj(attend(q, k, v).transpose(1, 2).flatten(2))

    def stream(self, q: Tensor, k: Tensor, v: Tensor, turn: Tensor, num_placeless: int) -> Tensor:
        """As `forward`, for narrow values on a CPU: they are mixed first and projected afterwards."""
        q = rotate(self.q_proj(q), turn)
        mixed = []
        for row in range(len(k)):
            blocks = self.key_blocks(k[row], v[row], turn, num_placeless)
            mixed.append(mix_in_blocks(q[row % len(q)], blocks))
        return self.out_proj(self.v_proj(torch.stack(mixed)))

    def key_blocks(self, k: Tensor, v: Tensor, turn: Tensor, num_placeless: int) -> Iterator[tuple[Tensor, Tensor]]:
        """k, v: (M, C') -> blocks of projected and turned keys (m, C) with their values (m, C')"""
        placed = len(k) - num_placeless
        for start in range(0, placed, len(turn)):
            for first in range(0, len(turn), STREAM_KEYS):
                places = turn[first : first + STREAM_KEYS]
                here = slice(start + first, start + first + len(places))
                yield rotate(self.k_proj(k[here]), places), v[here]
        if num_placeless:
            yield self.k_proj(k[placed:]), v[placed:]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k' / sqrt(c)) v, where a batch of one on either side is shared by all of the other.

    q: (B or 1, heads, N, c), k and v: (B or 1, heads, M, c) -> (B, heads, N, c)
    """
    batch = max(q.shape[0], k.shape[0])
    q, k, v = (x.expand(batch, -1, -1, -1) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v)


def mix_in_blocks(q: Tensor, blocks: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """softmax(q k' / sqrt(c)) v over blocks of keys and values, never holding all scores at once.

    Per query a running maximum, sum and mixture are kept (online softmax, arXiv 1805.02867).

    q: (N, c), blocks of k: (m, c) and v: (m, d) -> (N, d)
    """
    top, total, mixture = q.new_full((len(q), 1), -torch.inf), q.new_zeros(len(q), 1), None
    q = q * q.shape[-1] ** -0.5
    for k, v in blocks:
        if mixture is None:
            mixture = v.new_zeros(len(q), v.shape[-1])
        for start in range(0, len(q), STREAM_ROWS):
            rows = slice(start, start + STREAM_ROWS)
            scores = q[rows] @ k.T
            higher = torch.maximum(top[rows], scores.amax(dim=1, keepdim=True))
            fade = (top[rows] - higher).exp_()
            weights = scores.sub_(higher).exp_()
            total[rows] = total[rows] * fade + weights.sum(dim=1, keepdim=True)
            mixture[rows] = (mixture[rows] * fade).addmm_(weights, v)
            top[rows] = higher
    assert mixture is not None
    return mixture / total
