"""The prompt encoder: points, boxes and masks become tokens and a map.

SAM, arXiv 2304.02643, section 3; unchanged in SAM 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sam2nb.model.layers import LayerNorm2d
from sam2nb.model.positional import RandomFourier
from sam2nb.structures import PADDING_LABEL, Prompts

PIXEL_CENTRE = 0.5  # a click on pixel 7 means the middle of pixel 7
NUM_POINT_KINDS = 4  # exclude, include, top-left corner, bottom-right corner


class PromptEncoder(nn.Module):
    """Points and box corners become one token each; an earlier mask becomes a map that is added to the image's."""

    def __init__(self, *, width: int, mask_channels: int = 16) -> None:
        super().__init__()
        self.pe_layer = RandomFourier(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(NUM_POINT_KINDS))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, kernel_size=2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, width, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, width)

    def forward(self, prompts: Prompts, image_size: int, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Tokens and map for B objects; image_size is the side S of the input, size_hw the grid of the features.

        -> tokens (B, N + 1, 256) (one padding token stands behind the points; no tokens without points),
           map (B, 256, h, w), or (1, 256, h, w) without masks
        """
        return self.embed_points(prompts, image_size), self.embed_masks(prompts.masks, size_hw)

    def embed_points(self, prompts: Prompts, image_size: int) -> Tensor:
        """points (B, N, 2), labels (B, N) -> (B, N + 1, 256)"""
        if prompts.points is None:
            batch = 1 if prompts.masks is None else prompts.masks.shape[0]
            return self.no_mask_embed.weight.new_zeros(batch, 0, self.no_mask_embed.weight.shape[1])
        points = torch.nn.functional.pad(prompts.points + PIXEL_CENTRE, (0, 0, 0, 1))
        labels = torch.nn.functional.pad(prompts.labels, (0, 1), value=PADDING_LABEL)
        kinds = torch.cat((self.not_a_point_embed.weight, *(kind.weight for kind in self.point_embeddings)))
        where = self.pe_layer(points / image_size)
        where = torch.where((labels == PADDING_LABEL)[..., None], 0.0, where)  # padding has no place
        return where + kinds[labels.long() + 1]

    def embed_masks(self, masks: Tensor | None, size_hw: tuple[int, int]) -> Tensor:
        """masks (B, 1, 4h, 4w) -> (B, 256, h, w)"""
        if masks is None:
            return self.no_mask_embed.weight.view(1, -1, 1, 1).expand(1, -1, *size_hw)
        return self.mask_downscaling(masks)

    def grid_position(self, size_hw: tuple[int, int]) -> Tensor:
        """The position code of the image features: -> (1, 256, h, w)"""
        return self.pe_layer.grid(size_hw)
