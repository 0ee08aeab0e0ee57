"""Rotary attention in real numbers, for runtimes that know no complex ones.

A pair of channels (a, b) turned by an angle p is (a cos p - b sin p, a sin p + b cos p): the same numbers as
`sam2nb.model.positional.rotate`, which multiplies complex numbers (axial RoPE, arXiv 2403.13298).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from sam2nb.model.attention import RoPEAttention, attend
from sam2nb.model.positional import axial_rope

COSINE, SINE = "rope_cosine", "rope_sine"  # buffers that `use_real_rope` adds to a `RoPEAttention`


def use_real_rope(model: nn.Module, size_hw: tuple[int, int]) -> None:
    """Replace the forward of every `RoPEAttention` of a model by the real-valued one, in place, for one grid."""
    for module in model.modules():
        if isinstance(module, RoPEAttention):
            rotation = axial_rope(module.q_proj.out_features, size_hw)
            module.register_buffer(COSINE, rotation.real.contiguous(), persistent=False)
            module.register_buffer(SINE, rotation.imag.contiguous(), persistent=False)
            module.forward = partial(real_rope_attention, module)


def real_rope_attention(
    attention: RoPEAttention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    size_hw: tuple[int, int],
    num_pointer_tokens: int | Tensor = 0,
) -> Tensor:
    """`RoPEAttention.forward`: q: (B or 1, h*w, C), k and v: (B, n*h*w + num_pointer_tokens, C_kv) -> (B, h*w, C)"""
    cosine, sine = getattr(attention, COSINE), getattr(attention, SINE)
    q, k = attention.q_proj(q), attention.k_proj(k)
    q = rotate(q, cosine, sine)
    num_rotated = k.shape[1] - num_pointer_tokens
    grids = k[:, :num_rotated].unflatten(1, (-1, cosine.shape[0]))
    k = torch.cat((rotate(grids, cosine, sine).flatten(1, 2), k[:, num_rotated:]), dim=1)
    # the weights of a sum add up to one, so the values may be projected after it: narrow ones are summed sooner
    attended = attend(q[:, None], k[:, None], v[:, None])[:, 0]
    return attention.out_proj(attention.v_proj(attended))


def rotate(tokens: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate adjacent pairs of channels: tokens (..., N, C), cosine and sine (N, C / 2) -> (..., N, C)"""
    a, b = tokens.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cosine - b * sine, a * sine + b * cosine), dim=-1).flatten(-2)
