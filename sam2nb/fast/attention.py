"""Attention in a cheaper order of the same products, and memory attention that never holds all scores.

softmax(q (k W)^T) (v U) may be computed as softmax((q W^T) k^T) v U: with few queries it is cheaper to apply the key
projection to the queries, and the value projection after the weighted sum instead of before it; with few keys the
other way round. With wide keys but narrow values the value projection comes last too. The weights of a softmax sum to
one, so a bias of the values may be added after the weighted sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.fast.positions import axial_rope
from sam2nb.model.attention import Attention, RoPEAttention, attend, merge_heads, split_heads
from sam2nb.model.positional import rotate

FEW = 15  # up to this many tokens on one side it pays to move the other side's projections (width 256, 8 heads)
STREAM_ROWS, STREAM_KEYS = 1024, 512  # a block of scores: 2 MiB, inside the cache


def few_tokens(attention: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`Attention.forward`, with the projections on the side that has few tokens.

    q: (B or 1, N, C), k and v: (B or 1, M, C) -> (B, N, C)
    """
    if len(q) == len(k) == len(v) and q.shape[1] <= FEW < k.shape[1]:
        return few_queries(attention, q, k, v)
    if len(q) == len(k) == len(v) and k.shape[1] <= FEW < q.shape[1]:
        return few_keys(attention, q, k, v)
    return Attention.forward(attention, q, k, v)


def few_queries(attention: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fold k_proj into the queries and apply v_proj to the result, so that neither runs over the many keys.

    The keys' bias adds the same to all scores of a query, which a softmax does not see.
    """
    heads = attention.num_heads
    q = split_heads(attention.q_proj(q), heads)
    absorbed_q = q @ attention.k_proj.weight.unflatten(0, (heads, -1))  # (B, heads, N, C)
    scale = q.shape[-1] ** -0.5
    # all heads share the keys, so they become one head with heads * N queries
    context = F.scaled_dot_product_attention(absorbed_q.flatten(1, 2)[:, None], k[:, None], v[:, None], scale=scale)
    context = context[:, 0].unflatten(1, (heads, -1))  # (B, heads, N, C)
    values = context @ attention.v_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)
    return attention.out_proj(merge_heads(values) + attention.v_proj.bias)


def few_keys(attention: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fold q_proj into the keys and out_proj into the values, so that neither runs over the many queries."""
    heads = attention.num_heads
    k = split_heads(attention.k_proj(k), heads) * (attention.out_proj.in_features // heads) ** -0.5
    v = split_heads(attention.v_proj(v), heads)
    absorbed_k = k @ attention.q_proj.weight.unflatten(0, (heads, -1))  # (B, heads, M, C)
    bias = k @ attention.q_proj.bias.unflatten(0, (heads, -1))[..., None]  # (B, heads, M, 1)
    absorbed_v = v @ attention.out_proj.weight.T.unflatten(0, (heads, -1))  # (B, heads, M, C)
    scores = torch.baddbmm(bias.flatten(1).unsqueeze(1), q, absorbed_k.flatten(1, 2).transpose(1, 2))
    weights = scores.unflatten(2, (heads, -1)).softmax(dim=-1).flatten(2)  # (B, N, heads * M)
    return torch.baddbmm(attention.out_proj.bias, weights, absorbed_v.flatten(1, 2))


def streamed(
    attention: RoPEAttention, q: Tensor, k: Tensor, v: Tensor, size_hw: tuple[int, int], num_pointer_tokens: int = 0
) -> Tensor:
    """`RoPEAttention.forward`; narrow values on a CPU are summed first and projected afterwards, block by block.

    q: (B or 1, h*w, C), k and v: (B, n*h*w + num_pointer_tokens, C_kv) -> (B, h*w, C)
    """
    rotation = axial_rope(attention.q_proj.out_features, tuple(size_hw), q.device)
    narrow = v.shape[-1] < q.shape[-1]
    if not narrow or q.device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return _at_once(attention, q, k, v, rotation, num_pointer_tokens)
    q = rotate(attention.q_proj(q), rotation)
    context = []
    for row in range(len(k)):
        blocks = _key_blocks(attention, k[row], v[row], rotation, num_pointer_tokens)
        context.append(attend_in_blocks(q[row % len(q)], blocks))
    return attention.out_proj(attention.v_proj(torch.stack(context)))


def _at_once(
    attention: RoPEAttention, q: Tensor, k: Tensor, v: Tensor, rotation: Tensor, num_pointer_tokens: int
) -> Tensor:
    """The textbook order, with the cached rotation, and no tensor kept longer than it is needed."""
    q = rotate(attention.q_proj(q), rotation)
    k, v = attention.k_proj(k), attention.v_proj(v)
    num_rotated = k.shape[1] - num_pointer_tokens
    k = torch.cat(
        (
            rotate(k[:, :num_rotated].unflatten(1, (-1, len(rotation))), rotation).flatten(1, 2),
            k[:, num_rotated:],
        ),
        dim=1,
    )
    return attention.out_proj(attend(q[:, None], k[:, None], v[:, None])[:, 0])


def _key_blocks(
    attention: RoPEAttention, k: Tensor, v: Tensor, rotation: Tensor, num_pointer_tokens: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """k, v: (M, C_kv) -> blocks of projected and rotated keys (m, C) with their values (m, C_kv)"""
    num_rotated = len(k) - num_pointer_tokens
    for start in range(0, num_rotated, len(rotation)):
        for first in range(0, len(rotation), STREAM_KEYS):
            part = rotation[first : first + STREAM_KEYS]
            block = slice(start + first, start + first + len(part))
            yield rotate(attention.k_proj(k[block]), part), v[block]
    if num_pointer_tokens:
        yield attention.k_proj(k[num_rotated:]), v[num_rotated:]


def attend_in_blocks(q: Tensor, blocks: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """softmax(q k^T / sqrt(c)) v over blocks of keys and values, never holding all scores at once.

    A softmax may be taken relative to any number per query: it is divided by the sum of its weights in the end. The
    highest score in the first block saves looking for the highest of all, which is done only where exp overflows.

    q: (N, c), blocks of k: (m, c) and v: (m, d) -> (N, d)
    """
    q, blocks = q * q.shape[-1] ** -0.5, list(blocks)
    attended = _relative_softmax(q, blocks, _highest_scores(q, blocks[:1]))
    if not attended.isfinite().all():
        attended = _relative_softmax(q, blocks, _highest_scores(q, blocks))
    return attended


def _highest_scores(q: Tensor, blocks: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The highest q k^T of every query: (N, 1)"""
    rows = [torch.stack([(part @ k.T).amax(1) for k, _ in blocks]).amax(0) for part in q.split(STREAM_ROWS)]
    return torch.cat(rows)[:, None]


def _relative_softmax(q: Tensor, blocks: list[tuple[Tensor, Tensor]], reference: Tensor) -> Tensor:
    """sum exp(q k^T - reference) v / sum exp(q k^T - reference), with both sums in one product each.

    The reference is subtracted as one more channel, and the weights are summed as one more value, which is 1.
    """
    q = torch.cat((q, -reference), dim=1)
    sums = q.new_zeros(len(q), blocks[0][1].shape[1] + 1)
    for k, v in blocks:
        k, v = F.pad(k, (0, 1), value=1.0), F.pad(v, (0, 1), value=1.0)
        for start in range(0, len(q), STREAM_ROWS):
            rows = slice(start, start + STREAM_ROWS)
            sums[rows].addmm_((q[rows] @ k.T).exp_(), v)
    return sums[:, :-1] / sums[:, -1:]
