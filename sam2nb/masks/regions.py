"""Small repairs on mask logits, on every device: fill holes, drop islands, let no two objects share a pixel.

Official fills holes with a compiled CUDA extension and silently leaves them where it is missing; here OpenCV finds
them. Like there, holes are counted on the low-resolution logits, before they are enlarged to the video.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sam2nb.masks.rle import drop_small_islands, fill_small_holes

JUST_INSIDE = 0.1  # logit of a filled hole, as official
JUST_OUTSIDE = -0.1  # logit of a dropped island
CLEARLY_OUTSIDE = -10.0  # where another object wins, as official


def clean_masks(logits: Tensor, fill_hole_area: int, max_sprinkle_area: int) -> Tensor:
    """Fill holes of up to `fill_hole_area` pixels and drop islands of up to `max_sprinkle_area`; 0 leaves them.

    The largest part of a mask always stays.

    logits: (B, 1, h, w) -> (B, 1, h, w)
    """
    if fill_hole_area <= 0 and max_sprinkle_area <= 0:
        return logits
    inside = (logits > 0).cpu().numpy()
    cleaned = np.stack([_clean(mask[0], fill_hole_area, max_sprinkle_area)[None] for mask in inside])
    if np.array_equal(cleaned, inside):
        return logits
    before, after = (torch.from_numpy(masks).to(logits.device) for masks in (inside, cleaned))
    logits = torch.where(after & ~before, JUST_INSIDE, logits)
    return torch.where(before & ~after, JUST_OUTSIDE, logits)


def _clean(mask: np.ndarray, fill_hole_area: int, max_sprinkle_area: int) -> np.ndarray:
    if fill_hole_area > 0:
        mask, _ = fill_small_holes(mask, fill_hole_area + 1)
    if max_sprinkle_area > 0 and mask.any():
        mask, _ = drop_small_islands(mask, max_sprinkle_area + 1)
    return mask


def separate(logits: Tensor) -> Tensor:
    """Give every pixel to the object with the highest logit there: (N, 1, H, W) -> (N, 1, H, W)"""
    if len(logits) < 2:
        return logits
    winner = logits.argmax(dim=0, keepdim=True)
    index = torch.arange(len(logits), device=logits.device).view(-1, 1, 1, 1)
    return torch.where(winner == index, logits, logits.clamp(max=CLEARLY_OUTSIDE))
