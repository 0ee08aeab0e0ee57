"""In which precision predictors compute. Autocast is scoped to each call; nothing global is switched."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from sam2nb.model.sam2 import SAM2


def autocast_for(model: SAM2) -> AbstractContextManager:
    """The context in which this model's boxes run: autocast to `model.compute_dtype`, or nothing for float32."""
    if model.compute_dtype is torch.float32:
        return nullcontext()
    return torch.autocast(model.device.type, dtype=model.compute_dtype)
