"""Recorded calls and attention weights."""

from __future__ import annotations

import pytest
import torch

from sam2nb.model.attention import Attention, split_heads
from sam2nb.notebook.inspection import attention_weights, recording


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
