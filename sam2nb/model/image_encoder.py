"""The image encoder: trunk and neck (SAM 2, arXiv 2408.00714, section 4 "Image encoder"; FPN, arXiv 1612.03144).

The neck brings every stage to 256 channels. Only the two coarsest levels are fused top-down; the finer ones
pass straight to the mask decoder, so that they keep their detail.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class _Lateral(nn.Module):
    """One 1x1 convolution under the name it has in official checkpoints (`convs.N.conv`).

    Run as a linear layer: the trunk's maps are channels-last already.
    """

    def __init__(self, width: int, d_model: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, d_model, kernel_size=1)

    def forward(self, grid: Tensor, head: nn.Conv2d | None = None) -> Tensor:
        """grid: (B, C, h, w) -> (B, d_model, h, w), or what a 1x1 convolution `head` makes of that

        Two linear maps in a row are one: with a head, the wide map between them is never made.
        """
        weight, bias = self.conv.weight.flatten(1), self.conv.bias
        if head is not None:
            weight, bias = head.weight.flatten(1) @ weight, head.weight.flatten(1) @ bias + head.bias
        return F.linear(grid.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


class FpnNeck(nn.Module):
    """Feature pyramid: all stages to `d_model` channels, coarse knowledge handed down.

    widths: channels per stage, finest first.
    top_down_levels: stages (0 = finest) that take part in the top-down sum.
    """

    def __init__(self, *, d_model: int, widths: Sequence[int], top_down_levels: Sequence[int]) -> None:
        super().__init__()
        self.d_model = d_model
        # official order: coarsest first
        self.convs = nn.ModuleList(_Lateral(width, d_model) for width in reversed(widths))
        self.top_down_levels = frozenset(top_down_levels)

    def forward(self, maps: list[Tensor], heads: Sequence[nn.Conv2d] = ()) -> list[Tensor]:
        """maps: per stage (B, C_i, h_i, w_i), finest first -> per stage (B, d_model, h_i, w_i)

        heads: 1x1 convolutions that follow the finest levels, which must not take part in the top-down sum.
        """
        assert not self.top_down_levels & set(range(len(heads)))
        outputs: list[Tensor] = []
        above = None
        for level in reversed(range(len(maps))):
            here = self.convs[len(maps) - 1 - level](maps[level], heads[level] if level < len(heads) else None)
            if above is not None and level in self.top_down_levels:
                # float32 as trained; nearest upsampling keeps the precision it is given
                here = here + F.interpolate(above.float(), scale_factor=2.0, mode="nearest").to(here.dtype)
            outputs.insert(0, here)
            above = here
        return outputs


class ImageEncoder(nn.Module):
    """Trunk, then neck; the coarsest levels serve the top-down sum only and are dropped (`scalp`)."""

    def __init__(self, *, trunk: nn.Module, neck: FpnNeck, scalp: int = 1) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck
        self.scalp = scalp

    def forward(self, pixels: Tensor, heads: Sequence[nn.Conv2d] = ()) -> list[Tensor]:
        """pixels: (B, 3, S, S) -> (B, 256, S/4, S/4), (B, 256, S/8, S/8), (B, 256, S/16, S/16)

        heads: 1x1 convolutions to apply to the finest of these maps, so that their 256 channels need not be made.
        """
        maps = self.neck(self.trunk(pixels), heads)
        return maps[: len(maps) - self.scalp]
