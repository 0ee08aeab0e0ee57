"""Rotary attention in real numbers."""

from __future__ import annotations

import pytest
import torch

from sam2nb.engines.real_rope import COSINE, rotate, use_real_rope
from sam2nb.model import positional
from sam2nb.model.attention import RoPEAttention


def test_a_rotation_in_real_numbers_is_that_in_complex_ones():
    tokens, rotation = torch.randn(2, 3, 12, 8), positional.axial_rope(8, (3, 4))
    ours = rotate(tokens, rotation.real, rotation.imag)
    torch.testing.assert_close(ours, positional.rotate(tokens, rotation))


@pytest.mark.parametrize("pointers", [0, 4])
def test_the_attention_is_that_of_the_textbook_for_several_grids_and_pointers(pointers):
    attention = RoPEAttention(width=16, kv_width=8)
    q, k = torch.randn(1, 12, 16), torch.randn(2, 2 * 12 + pointers, 8)
    expected = attention(q, k, k, (3, 4), pointers)
    names = set(attention.state_dict())
    use_real_rope(attention, (3, 4))
    torch.testing.assert_close(attention(q, k, k, (3, 4), pointers), expected)
    assert COSINE in dict(attention.named_buffers()) and set(attention.state_dict()) == names
