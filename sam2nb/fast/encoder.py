"""The neck with the mask decoder's two convolutions folded in.

No map of 256 channels is made at the full size of the finest levels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.image_encoder import FpnNeck
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import ImageFeatures


def skipped(model: SAM2) -> Iterable[nn.Module]:
    """The modules that `encode_image` here does not call."""
    encoder, decoder = model.image_encoder, model.sam_mask_decoder
    return (encoder, *encoder.neck.modules(), decoder.conv_s0, decoder.conv_s1)


def encode_image(model: SAM2, pixels: Tensor) -> ImageFeatures:
    """`SAM2.encode_image`: pixels (B, 3, S, S) -> ImageFeatures"""
    encoder, decoder = model.image_encoder, model.sam_mask_decoder
    heads = (decoder.conv_s0, decoder.conv_s1)
    stride4, stride8, stride16 = run_neck(encoder.neck, encoder.trunk(pixels), heads)[:3]
    return ImageFeatures(stride16, model.image_position(stride16), (stride4, stride8))


def run_neck(neck: FpnNeck, maps: list[Tensor], heads: tuple[nn.Conv2d, ...]) -> list[Tensor]:
    """The neck, with a 1x1 convolution after each of the finest levels; these must not take part in the top-down sum.

    maps: per stage (B, C_i, h_i, w_i), finest first -> per stage (B, heads' or d_model channels, h_i, w_i)
    """
    assert not neck.top_down_levels & set(range(len(heads)))
    all_heads = (*heads, *[None] * (len(maps) - len(heads)))
    layers = zip(maps, reversed(neck.convs), all_heads, strict=True)
    return neck.fuse([convolve_1x1(grid, conv.conv, head) for grid, conv, head in layers])


def convolve_1x1(grid: Tensor, conv: nn.Conv2d, head: nn.Conv2d | None) -> Tensor:
    """A 1x1 convolution, or two in a row as one, run as a linear layer: the trunk's maps are channels-last already.

    grid: (B, C, h, w) -> (B, C', h, w)
    """
    weight, bias = conv.weight.flatten(1), conv.bias
    if head is not None:
        weight, bias = head.weight.flatten(1) @ weight, head.weight.flatten(1) @ bias + head.bias
    return F.linear(grid.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)
