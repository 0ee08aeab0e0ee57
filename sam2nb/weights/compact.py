"""Small checkpoints: float16, and float8 for the large matrices that tolerate it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

FLOAT8_PARTS = ("sam_mask_decoder.", "memory_attention.", "memory_encoder.")
FLOAT8_MIN_VALUES = 2**14  # smaller matrices stay in half precision


def compact(state: Mapping[str, Tensor], float8_parts: Sequence[str] = FLOAT8_PARTS) -> dict[str, Tensor]:
    """The same tensors in float16, and in float8 (e4m3) the large matrices of the parts named."""

    def small(name: str, tensor: Tensor) -> Tensor:
        is_large_matrix = tensor.ndim >= 2 and tensor.numel() >= FLOAT8_MIN_VALUES
        in_float8 = name.startswith(tuple(float8_parts)) and is_large_matrix
        return tensor.to(torch.float8_e4m3fn if in_float8 else torch.float16)

    return {name: small(name, tensor) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
