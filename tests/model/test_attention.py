"""Attention against its formula, written out with explicit sums."""

import math

import torch

from sam2nb.model.attention import Attention, RoPEAttention, attend, merge_heads, split_heads
from sam2nb.model.positional import axial_rope, rotate


@torch.no_grad()
def test_attention_is_a_softmax_of_products_head_by_head():
    attention = Attention(width=8, num_heads=2, inner_width=4)
    q, k, v = torch.randn(3, 5, 8), torch.randn(3, 7, 8), torch.randn(3, 7, 8)
    projected = attention.q_proj(q), attention.k_proj(k), attention.v_proj(v)
    heads = []
    for head in range(2):
        channels = slice(2 * head, 2 * head + 2)
        qh, kh, vh = (tokens[..., channels] for tokens in projected)
        weights = torch.softmax(qh @ kh.transpose(1, 2) / math.sqrt(2), dim=-1)
        heads.append(weights @ vh)
    torch.testing.assert_close(attention(q, k, v), attention.out_proj(torch.cat(heads, dim=-1)))


@torch.no_grad()
def test_a_batch_of_one_is_shared_on_either_side():
    q, k, v = torch.randn(1, 2, 5, 4), torch.randn(3, 2, 6, 4), torch.randn(3, 2, 6, 4)
    torch.testing.assert_close(attend(q, k, v), attend(q.repeat(3, 1, 1, 1), k, v))
    torch.testing.assert_close(attend(k, q, q), attend(k, q.repeat(3, 1, 1, 1), q.repeat(3, 1, 1, 1)))


def test_heads_can_be_merged_again():
    tokens = torch.randn(2, 5, 12)
    assert split_heads(tokens, 3).shape == (2, 3, 5, 4)
    assert torch.equal(merge_heads(split_heads(tokens, 3)), tokens)


@torch.no_grad()
def test_rotary_attention_rotates_every_grid_of_keys_and_no_pointer():
    attention = RoPEAttention(width=8, kv_width=4)
    q, k, v = torch.randn(1, 6, 8), torch.randn(2, 2 * 6 + 3, 4), torch.randn(2, 2 * 6 + 3, 4)
    rotation = axial_rope(8, (2, 3))
    queries = rotate(attention.q_proj(q), rotation)
    keys = attention.k_proj(k)
    keys = torch.cat((rotate(keys[:, :6], rotation), rotate(keys[:, 6:12], rotation), keys[:, 12:]), dim=1)
    weights = torch.softmax(queries @ keys.transpose(1, 2) / math.sqrt(8), dim=-1)
    expected = attention.out_proj(weights @ attention.v_proj(v))
    torch.testing.assert_close(attention(q, k, v, (2, 3), 3), expected)
