"""Compile the large modules with `torch.compile`, falling back to eager execution on failure.

Each of the four boxes is compiled for the shapes it meets (static shapes: a predictor needs few). Where the compiler
is missing or fails, the box runs uncompiled and one warning says why; results differ by rounding only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sam2nb.model.sam2 import SAM2

BOXES = ("image_encoder", "memory_attention", "memory_encoder", "sam_mask_decoder")

logger = logging.getLogger(__name__)


def compile_boxes(model: SAM2, names: Sequence[str] = BOXES) -> SAM2:
    """Compile large boxes in place, by default all four; the first call of each then takes a minute or more."""
    for name in names:
        box = getattr(model, name)
        box.forward = CompiledForward(name, box, torch.compile(type(box).forward, dynamic=False))
    return model


@dataclass
class CompiledForward:
    """The forward of a box: `compiled` until it fails for the first time, that of its class from then on."""

    name: str
    box: nn.Module
    compiled: Callable[..., Any]
    failed: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.failed:
            try:
                return self.compiled(self.box, *args, **kwargs)
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception as error:  # whatever the compiler or its toolchain raises: the box itself still works
                self.failed = True
                logger.warning("%s runs uncompiled: %s", self.name, str(error).strip().splitlines()[0][:200])
        return type(self.box).forward(self.box, *args, **kwargs)
