"""The memory encoder: a frame's features and its mask become one map, the memory of that frame.

SAM 2, arXiv 2408.00714, section 4 "Memory encoder"; ConvNeXt blocks, arXiv 2201.03545. The mask is downsampled to the
grid of the features by four strided convolutions; the sum of both passes through two ConvNeXt blocks and is reduced to
64 channels:

    memory = reduce(fuse(project(features) + downsample(mask)))
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.layers import LayerNorm2d

NUM_HALVINGS = 4  # from the input's side to the features' grid, which has stride 16
LAYER_SCALE = 1e-6  # initial weight of a block's own contribution


class MaskDownsampler(nn.Module):
    """Halve the mask four times, each time with four times the channels; then one 1x1 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for _ in range(NUM_HALVINGS):
            layers += [
                nn.Conv2d(channels, channels * 4, kernel_size=3, stride=2, padding=1),
                LayerNorm2d(channels * 4),
                nn.GELU(),
            ]
            channels *= 4
        layers.append(nn.Conv2d(channels, width, kernel_size=1))
        self.encoder = nn.Sequential(*layers)

    def forward(self, mask: Tensor) -> Tensor:
        """mask: (B, 1, S, S) -> (B, C, S/16, S/16)"""
        return self.encoder(mask)


class FuserBlock(nn.Module):
    """ConvNeXt block: depthwise 7x7, norm, two pointwise layers, residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width)
        self.norm = LayerNorm2d(width)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), LAYER_SCALE))

    def forward(self, grid: Tensor) -> Tensor:
        """grid: (B, C, h, w) -> (B, C, h, w)"""
        # each channel on its own, over a 7x7 neighbourhood
        x = self.norm(self.dwconv(grid)).permute(0, 2, 3, 1)
        # each cell on its own, over all channels
        x = self.gamma * self.pwconv2(F.gelu(self.pwconv1(x)))
        return grid + x.permute(0, 3, 1, 2)


class Fuser(nn.Module):
    """A chain of ConvNeXt blocks."""

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FuserBlock(width) for _ in range(num_layers))

    def forward(self, grid: Tensor) -> Tensor:
        """grid: (B, C, h, w) -> (B, C, h, w)"""
        for layer in self.layers:
            grid = layer(grid)
        return grid


class MemoryEncoder(nn.Module):
    """Frame features and mask in, memory map out."""

    def __init__(self, *, width: int, out_dim: int, num_layers: int = 2) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(width)
        self.pix_feat_proj = nn.Conv2d(width, width, kernel_size=1)
        self.fuser = Fuser(width, num_layers)
        self.out_proj = nn.Conv2d(width, out_dim, kernel_size=1)

    def forward(self, embedding: Tensor, mask: Tensor) -> Tensor:
        """embedding: (B or 1, 256, h, w), mask: (B, 1, 16h, 16w) -> (B, 64, h, w)"""
        # features and mask on the same grid, summed and fused
        fused = self.fuser(self.pix_feat_proj(embedding) + self.mask_downsampler(mask))
        # fewer channels, since many memories are kept
        return self.out_proj(fused)
