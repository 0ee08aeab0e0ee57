"""Position encodings kept between calls: they depend on the size, the device and the weights only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import torch
from torch import Tensor, nn

from sam2nb.model import positional
from sam2nb.model.positional import RandomFourier, SineEncoding

KEPT_SIZES = 16  # encodings kept at a time, over all sizes and devices


def cached_sine(encoding: SineEncoding, grid: Tensor) -> Tensor:
    """`SineEncoding.forward`, kept: (B, any, h, w) -> (1, channels, h, w)"""
    return _sine(2 * encoding.channels_per_axis, tuple(grid.shape[-2:]), grid.device)


@lru_cache(maxsize=KEPT_SIZES)
def _sine(channels: int, size_hw: tuple[int, int], device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return SineEncoding(channels)(torch.empty(1, 1, *size_hw, device=device))


@lru_cache(maxsize=KEPT_SIZES)
def axial_rope(channels: int, size_hw: tuple[int, int], device: torch.device) -> Tensor:
    """`model.positional.axial_rope` on a device, kept: -> (h*w, channels / 2), complex64"""
    with torch.inference_mode(False), torch.no_grad():
        return positional.axial_rope(channels, size_hw).to(device)


def cached_grid(encoding: RandomFourier, size_hw: tuple[int, int]) -> Tensor:
    """`RandomFourier.forward`, kept with its module: -> (1, channels, h, w)"""
    tables = (encoding.positional_encoding_gaussian_matrix,)
    return kept_with(encoding, tuple(size_hw), tables, lambda: RandomFourier.forward(encoding, size_hw))


def kept_with(
    module: nn.Module, size_hw: tuple[int, int], tables: Iterable[Tensor], build: Callable[[], Tensor]
) -> Tensor:
    """A tensor built from a module's tables, kept for the next call of this size while the tables stay as they are.

    With gradients it is built anew, and so it is for tables made under inference mode, whose changes leave no trace.
    """
    tables = tuple(tables)
    if torch.is_grad_enabled() and any(table.requires_grad for table in tables):
        return build()
    if any(table.is_inference() for table in tables):
        return build()
    key = (size_hw, *((table.device, table.dtype, table.data_ptr(), table._version) for table in tables))
    kept = module.__dict__.get("_kept")
    if kept is None or kept[0] != key:
        with torch.inference_mode(False), torch.no_grad():  # an ordinary tensor, whoever asks first
            kept = (key, build())
        module._kept = kept
    return kept[1]
