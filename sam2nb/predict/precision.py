"""The precision predictors compute in: autocast for the length of a call, no global switch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from sam2nb.model.sam2 import SAM2


def autocast_for(model: SAM2) -> AbstractContextManager:
    """The context to run the model in: autocast to `model.compute_dtype`, or no change for float32."""
    if model.compute_dtype is torch.float32:
        return nullcontext()
    return torch.autocast(model.device.type, dtype=model.compute_dtype)
