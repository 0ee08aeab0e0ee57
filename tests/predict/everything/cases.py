"""Candidates from plain masks."""

from __future__ import annotations

import numpy as np
import torch

from sam2nb.masks.rle import rle_from_mask
from sam2nb.predict.everything.candidates import Candidates


def candidates_of(masks: list[np.ndarray], crops: list[tuple], iou: list[float] | None = None) -> Candidates:
    """One candidate per mask, found in the crop (x0, y0, x1, y1) at the same index."""
    rles = tuple(rle_from_mask(mask) for mask in masks)
    return Candidates(
        points=torch.tensor([rle.box[:2] for rle in rles], dtype=torch.float32),
        predicted_iou=torch.tensor(iou or [0.9] * len(rles)),
        stability=torch.full((len(rles),), 0.97),
        boxes=torch.tensor([rle.box for rle in rles]),
        crop_boxes=torch.tensor(crops),
        rles=rles,
    )
