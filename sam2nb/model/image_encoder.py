"""The image encoder: trunk and neck.

SAM 2, arXiv 2408.00714, section 4 "Image encoder"; feature pyramids, arXiv 1612.03144. The neck brings every stage to
256 channels. Only the two coarsest levels are fused top-down; the finer ones pass straight to the mask decoder, so
that they keep their detail.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class FpnNeck(nn.Module):
    """Feature pyramid: all stages to `d_model` channels, coarse semantics handed down.

    widths: channels per stage, finest first.
    top_down_levels: stages (0 = finest) that take part in the top-down sum.
    """

    def __init__(self, *, d_model: int, widths: Sequence[int], top_down_levels: Sequence[int]) -> None:
        super().__init__()
        self.d_model = d_model
        # stored from coarse to fine, each under the name `convs.N.conv`, as in official checkpoints
        self.convs = nn.ModuleList(
            nn.Sequential(OrderedDict(conv=nn.Conv2d(width, d_model, kernel_size=1))) for width in reversed(widths)
        )
        self.top_down_levels = frozenset(top_down_levels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """maps: per stage (B, C_i, h_i, w_i), finest first -> per stage (B, d_model, h_i, w_i)"""
        # bring every stage to d_model channels
        laterals = [conv(grid) for conv, grid in zip(reversed(self.convs), maps, strict=True)]
        return self.fuse(laterals)

    def fuse(self, laterals: Sequence[Tensor]) -> list[Tensor]:
        """Sum the laterals top-down: per stage (B, channels, h_i, w_i), finest first -> the same shapes"""
        outputs: list[Tensor] = []
        coarser = None
        # from coarse to fine
        for level, lateral in reversed(list(enumerate(laterals))):
            if coarser is not None and level in self.top_down_levels:
                # add the coarser level, upsampled (in float32 as trained)
                upsampled = F.interpolate(coarser.float(), scale_factor=2.0, mode="nearest")
                lateral = lateral + upsampled.to(lateral.dtype)
            outputs.insert(0, lateral)
            coarser = lateral
        return outputs


class ImageEncoder(nn.Module):
    """Trunk, then neck; the `scalp` coarsest levels serve the top-down sum only and are dropped."""

    def __init__(self, *, trunk: nn.Module, neck: FpnNeck, scalp: int = 1) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck
        self.scalp = scalp

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """pixels: (B, 3, S, S) -> (B, 256, S/4, S/4), (B, 256, S/8, S/8), (B, 256, S/16, S/16)"""
        # four stages of the trunk, each brought to 256 channels
        maps = self.neck(self.trunk(pixels))
        return maps[: len(maps) - self.scalp]
