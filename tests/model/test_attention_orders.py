"""The cheaper orders of the same products give what the textbook order gives."""

import pytest
import torch

from sam2nb.model.attention import Attention, RoPEAttention, attend, mix_in_blocks
from sam2nb.model.layers import in_bands
from sam2nb.model.mask_decoder import double


def scrambled(module: torch.nn.Module) -> torch.nn.Module:
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module.double()


def textbook(attention: Attention, q, k, v):
    q, k, v = (attention.split_heads(x) for x in (attention.q_proj(q), attention.k_proj(k), attention.v_proj(v)))
    return attention.out_proj(attend(q, k, v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(("queries", "keys"), [(8, 400), (400, 8), (400, 15), (3, 40)])
def test_few_tokens_against_many_equal_the_textbook_order(queries, keys):
    attention = scrambled(Attention(width=32, num_heads=4, inner_width=16))
    q, k, v = (torch.randn(2, n, 32).double() for n in (queries, keys, keys))
    torch.testing.assert_close(attention(q, k, v), textbook(attention, q, k, v))


def test_gradients_of_the_cheaper_order_equal_those_of_the_textbook_order():
    attention = scrambled(Attention(width=32, num_heads=4, inner_width=16))
    q, k, v = (torch.randn(2, n, 32).double() for n in (5, 60, 60))
    gradients = []
    for function in (attention, lambda *qkv: textbook(attention, *qkv)):
        attention.zero_grad()
        function(q, k, v).square().sum().backward()
        gradients.append([parameter.grad for name, parameter in attention.named_parameters() if name != "k_proj.bias"])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_memory_is_streamed_without_a_gradient_and_gives_the_same():
    attention = scrambled(RoPEAttention(width=32, num_heads=1, kv_width=8))
    q = torch.randn(1, 144, 32).double()
    k, v = (torch.randn(3, 2 * 144 + 8, 8).double() for _ in range(2))
    whole = attention(q, k, v, (12, 12), 8)
    with torch.no_grad():
        streamed = attention(q, k, v, (12, 12), 8)
    assert streamed.shape == (3, 144, 32)
    torch.testing.assert_close(streamed, whole, atol=1e-5, rtol=1e-5)  # the rotary code is float32


def test_mixing_in_blocks_survives_scores_beyond_the_range_of_exp():
    q, k, v = torch.randn(5, 4) * 100, torch.randn(40, 4) * 100, torch.randn(40, 3)
    blocks = [(k[i : i + 7], v[i : i + 7]) for i in range(0, 40, 7)]
    expected = torch.softmax(q.double() @ k.double().T / 2, dim=1) @ v.double()
    torch.testing.assert_close(mix_in_blocks(q, blocks).double(), expected, atol=1e-4, rtol=1e-4)


def test_doubling_is_the_transposed_convolution():
    conv = torch.nn.ConvTranspose2d(6, 5, kernel_size=2, stride=2)
    grid = torch.randn(2, 6, 3, 4)
    torch.testing.assert_close(double(grid, conv), conv(grid))


def test_bands_cover_the_map_once_and_respect_their_step():
    grid = torch.randn(1, 70, 256, 3)
    seen = []

    def note(band):
        seen.append(band.shape[1])
        return band + 1

    with torch.no_grad():
        torch.testing.assert_close(in_bands(note, grid, 4), grid + 1)
    assert sum(seen) == 70 and len(seen) > 1 and all(rows % 4 == 0 for rows in seen[:-1])
    seen.clear()
    in_bands(note, grid, 4)
    assert seen == [70]  # with gradients: all at once
