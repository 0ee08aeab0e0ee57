"""The cheaper orders of attention give what the textbook order gives."""

import pytest
import torch

from sam2nb.fast.attention import attend_in_blocks, few_tokens, streamed
from sam2nb.model.attention import Attention, RoPEAttention


def scrambled(module: torch.nn.Module) -> torch.nn.Module:
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module.double()


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("queries", "keys"), [(8, 400), (400, 8), (400, 15), (3, 40), (5, 5)])
def test_few_tokens_against_many_equal_the_textbook_order(queries, keys, batch):
    attention = scrambled(Attention(width=32, num_heads=4, inner_width=16))
    q, k, v = (torch.randn(batch, n, 32).double() for n in (queries, keys, keys))
    torch.testing.assert_close(few_tokens(attention, q, k, v), attention(q, k, v))


def test_one_image_shared_by_many_objects_equals_the_textbook_order():
    attention = scrambled(Attention(width=32, num_heads=4, inner_width=16))
    tokens, image = torch.randn(3, 8, 32).double(), torch.randn(1, 60, 32).double()
    torch.testing.assert_close(few_tokens(attention, tokens, image, image), attention(tokens, image, image))
    torch.testing.assert_close(few_tokens(attention, image, tokens, tokens), attention(image, tokens, tokens))


@pytest.mark.parametrize(("queries", "keys"), [(5, 60), (60, 5)])
def test_gradients_of_the_cheaper_order_equal_those_of_the_textbook_order(queries, keys):
    attention = scrambled(Attention(width=32, num_heads=4, inner_width=16))
    q, k, v = (torch.randn(2, n, 32).double() for n in (queries, keys, keys))
    gradients = []
    for function in (lambda *qkv: few_tokens(attention, *qkv), attention):
        attention.zero_grad()
        function(q, k, v).square().sum().backward()
        # the keys' bias has no influence: its gradient is zero up to rounding, or absent
        gradients.append([parameter.grad for name, parameter in attention.named_parameters() if name != "k_proj.bias"])
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("objects", [1, 3])
@torch.no_grad()
def test_streamed_memory_attention_equals_the_textbook_order(objects):
    attention = scrambled(RoPEAttention(width=32, kv_width=8))
    q = torch.randn(1, 144, 32).double()
    k, v = (torch.randn(objects, 2 * 144 + 8, 8).double() for _ in range(2))
    fast = streamed(attention, q, k, v, (12, 12), 8)
    assert fast.shape == (objects, 144, 32)
    # the rotation is applied in float32
    torch.testing.assert_close(fast, attention(q, k, v, (12, 12), 8), atol=1e-5, rtol=1e-5)


def test_with_gradients_memory_attention_equals_the_textbook_order_to_the_bit():
    attention = scrambled(RoPEAttention(width=32, kv_width=8))
    q, k, v = torch.randn(1, 12, 32).double(), torch.randn(2, 28, 8).double(), torch.randn(2, 28, 8).double()
    fast = streamed(attention, q, k, v, (3, 4), 4)
    assert fast.requires_grad and torch.equal(fast, attention(q, k, v, (3, 4), 4))


def test_attention_in_blocks_survives_scores_beyond_the_range_of_exp():
    q, k, v = torch.randn(5, 4) * 100, torch.randn(40, 4) * 100, torch.randn(40, 3)
    blocks = [(k[i : i + 7], v[i : i + 7]) for i in range(0, 40, 7)]
    expected = torch.softmax(q.double() @ k.double().T / 2, dim=1) @ v.double()
    torch.testing.assert_close(attend_in_blocks(q, blocks).double(), expected, atol=1e-4, rtol=1e-4)
