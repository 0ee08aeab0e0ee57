"""The mask decoder's transposed convolutions as linear layers: their 2x2 patches do not overlap."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.mask_decoder import MaskDecoder


def upscale(decoder: MaskDecoder, image: Tensor, high_res: tuple[Tensor, Tensor]) -> Tensor:
    """`MaskDecoder.upscale`: image (B, 256, h, w), high_res as in ImageFeatures -> (B, 32, 4h, 4w)"""
    stride4, stride8 = high_res
    upsample1, norm, activation1, upsample2, activation2 = decoder.output_upscaling
    upscaled = activation1(norm(upscale_2x(image, upsample1) + stride8))
    return activation2(upscale_2x(upscaled, upsample2) + stride4)


def upscale_2x(grid: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution with kernel and stride 2; on channels-last maps several times as fast on a CPU.

    grid: (B, C, h, w) -> (B, C', 2h, 2w)
    """
    # every cell becomes a patch of 2x2 cells
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)
    patches = F.linear(grid.permute(0, 2, 3, 1), weight, conv.bias.repeat(4)).unflatten(3, (2, 2, -1))
    # (B, h, w, 2, 2, C') -> (B, h, 2, w, 2, C') -> (B, C', 2h, 2w)
    rows = patches.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return rows.permute(0, 3, 1, 2)
