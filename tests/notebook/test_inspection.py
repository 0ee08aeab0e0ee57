"""Recorded calls and attention weights."""

from __future__ import annotations

import pytest
import torch

from sam2nb.model.attention import Attention, RoPEAttention, split_heads
from sam2nb.model.hiera import Hiera
from sam2nb.notebook.inspection import attention_weights, memory_weights, recording, trunk_blocks


@pytest.mark.parametrize(("num_queries", "num_keys"), [(5, 40), (40, 5), (20, 30)])
@torch.no_grad()
def test_attention_weights_reproduce_the_output_of_the_module(num_queries, num_keys):
    torch.manual_seed(0)
    attention = Attention(width=32, num_heads=4, inner_width=16)
    q, k, v = torch.randn(1, num_queries, 32), torch.randn(1, num_keys, 32), torch.randn(1, num_keys, 32)
    weights = attention_weights(attention, q, k)
    assert weights.shape == (1, 4, num_queries, num_keys)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 4, num_queries))
    attended = weights @ split_heads(attention.v_proj(v), attention.num_heads)
    torch.testing.assert_close(attention.out_proj(attended.transpose(1, 2).flatten(2)), attention(q, k, v))


def test_the_last_call_is_recorded_and_no_hook_remains():
    first, second = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    with recording(first=first, second=second) as calls:
        second(first(torch.zeros(1, 2)))
        output = second(first(torch.ones(4, 2)))
    assert set(calls) == {"first", "second"}
    assert calls["first"].inputs[0].shape == (4, 2) and calls["second"].output is output
    first(torch.zeros(7, 2))
    assert calls["first"].inputs[0].shape == (4, 2)
    with pytest.raises(RuntimeError), recording(first=first):
        first(torch.zeros(1, 5))
    assert not first._forward_hooks


@torch.no_grad()
def test_memory_weights_reproduce_the_output_of_the_attention_to_memories():
    torch.manual_seed(0)
    attention = RoPEAttention(width=32, kv_width=8)
    frames, pointers, (h, w) = 3, 2, (4, 5)
    maps = frames * h * w
    q, k, v = torch.randn(1, h * w, 32), torch.randn(1, maps + 4 * pointers, 8), torch.randn(1, maps + 4 * pointers, 8)
    v[:, maps:] = v[:, maps::4].repeat_interleave(4, dim=1)  # one value for all four tokens of a pointer
    with recording(attention=attention) as calls:
        output = attention(q, k, v, (h, w), 4 * pointers)
    of_maps, of_pointers = memory_weights(attention, calls["attention"])
    assert of_maps.shape == (1, h * w, frames, h, w) and of_pointers.shape == (1, h * w, pointers)
    torch.testing.assert_close(of_maps.sum((2, 3, 4)) + of_pointers.sum(2), torch.ones(1, h * w))
    values = attention.v_proj(v)
    attended = of_maps.flatten(2) @ values[:, :maps] + of_pointers @ values[:, maps::4]
    torch.testing.assert_close(attention.out_proj(attended), output)


def test_every_block_of_the_trunk_has_a_row_and_a_stage_opens_on_the_grid_before():
    sizes = {"embed_dim": 8, "num_heads": 1, "stages": (1, 3), "windows": (8, 4), "position_grid": 4}
    trunk = Hiera(**sizes, global_blocks=(2,))
    assert trunk_blocks(trunk, 64) == [
        (0, "16 x 16", "its window of 8 x 8", ""),
        (1, "16 x 16", "its window of 8 x 8", "opens the next stage"),
        (2, "8 x 8", "all tokens", ""),
        (3, "8 x 8", "its window of 4 x 4", ""),
    ]
