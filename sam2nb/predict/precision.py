"""The precision and the threads that predictors compute in, for the length of a call: no global switch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import torch

from sam2nb.model.sam2 import SAM2
from sam2nb.predict.threads import on_free_cores
from sam2nb.structures import ImageFeatures

log = logging.getLogger(__name__)


@contextmanager
def computing(model: SAM2) -> Iterator[None]:
    """The context to run the model in: autocast to `model.compute_dtype`, unless float32, and threads on free cores."""
    device = model.device.type
    half = model.compute_dtype is not torch.float32
    with (
        on_free_cores() if device == "cpu" else nullcontext(),
        torch.autocast(device, dtype=model.compute_dtype) if half else nullcontext(),
    ):
        yield


def in_precision_of(model: SAM2, features: ImageFeatures) -> ImageFeatures:
    """Features as the model can read them now: float32 where nothing is autocast.

    They may have been encoded inside an autocast, or with another `compute_dtype`.
    """
    is_float32 = model.compute_dtype is torch.float32 and not torch.is_autocast_enabled(model.device.type)
    return features.float() if is_float32 else features


def require_predicting(model: SAM2) -> None:
    """Raise ValueError for weights that are not float32, or defaults of torch under which the model cannot run.

    Warn, once, about a model in training mode.
    """
    if model.device.type == "meta":
        raise ValueError("the model is on the device meta, where it has no weights: use cpu, cuda or mps")
    dtype = model.no_mem_embed.dtype
    if dtype is not torch.float32:
        raise ValueError(
            f"the model's weights are {dtype}, predictors need torch.float32: call model.float(), and choose the "
            "precision of the computation by model.compute_dtype = torch.bfloat16 or load_model(…, dtype=…)"
        )
    default, device = torch.get_default_dtype(), torch.empty(0).device
    if default is not torch.float32:
        raise ValueError(f"the default dtype is {default}, predictors need torch.set_default_dtype(torch.float32)")
    if device.type not in ("cpu", model.device.type):
        raise ValueError(f"the default device is {device}, predictors need torch.set_default_device('cpu')")
    if model.training:
        _tell_once()


@cache
def _tell_once() -> None:
    log.warning("the model is in training mode, in which unstable single masks stay as they are: call model.eval()")
