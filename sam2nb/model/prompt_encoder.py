"""The prompt encoder: points, boxes and masks become tokens and a map.

SAM, arXiv 2304.02643, section 3 "Prompt encoder" and appendix A; unchanged in SAM 2. A point's token is the Fourier
encoding of its position plus a learned embedding of its label:

    token = fourier(xy) + embedding[label]
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.layers import LayerNorm2d
from sam2nb.model.positional import RandomFourier
from sam2nb.structures import PADDING_LABEL, Prompts

PIXEL_CENTRE = 0.5  # a click on pixel 7 means the middle of pixel 7
NUM_LABELS = 4  # exclude, include, top-left corner, bottom-right corner
MASK_CHANNELS = 16


class PromptEncoder(nn.Module):
    """One token for each point and box corner; an earlier mask becomes a map that is added to the image's."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.pe_layer = RandomFourier(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(NUM_LABELS))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, MASK_CHANNELS // 4, kernel_size=2, stride=2),
            LayerNorm2d(MASK_CHANNELS // 4),
            nn.GELU(),
            nn.Conv2d(MASK_CHANNELS // 4, MASK_CHANNELS, kernel_size=2, stride=2),
            LayerNorm2d(MASK_CHANNELS),
            nn.GELU(),
            nn.Conv2d(MASK_CHANNELS, width, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, width)

    def forward(self, prompts: Prompts, image_size: int, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Encode the prompts of B objects; image_size is the side S of the input, size_hw the grid of the features.

        -> tokens (B, N + 1, 256), a padding token after the points (no tokens at all without points);
           map (B, 256, h, w), or (1, 256, h, w) without masks
        """
        return self.embed_points(prompts, image_size), self.embed_masks(prompts.masks, size_hw)

    def embed_points(self, prompts: Prompts, image_size: int) -> Tensor:
        """points (B, N, 2), labels (B, N) -> (B, N + 1, 256); no points -> (B, 0, 256)"""
        if prompts.points is None:
            batch = 1 if prompts.masks is None else len(prompts.masks)
            return self.no_mask_embed.weight.new_zeros(batch, 0, self.no_mask_embed.embedding_dim)
        # one padding point after the others (as trained)
        points = F.pad(prompts.points + PIXEL_CENTRE, (0, 0, 0, 1))
        labels = F.pad(prompts.labels, (0, 1), value=PADDING_LABEL)
        # position encoding; padding has no position
        position = self.pe_layer.encode(points / image_size)
        position = torch.where((labels == PADDING_LABEL)[..., None], 0.0, position)
        # label embedding: -1 is row 0, exclude row 1, …
        embeddings = torch.cat((self.not_a_point_embed.weight, *(label.weight for label in self.point_embeddings)))
        return position + embeddings[labels.long() + 1]

    def embed_masks(self, masks: Tensor | None, size_hw: tuple[int, int]) -> Tensor:
        """masks (B, 1, 4h, 4w) -> (B, 256, h, w); None -> (1, 256, h, w), the learned no-mask embedding"""
        if masks is None:
            return self.no_mask_embed.weight.view(1, -1, 1, 1).expand(1, -1, *size_hw)
        return self.mask_downscaling(masks)
