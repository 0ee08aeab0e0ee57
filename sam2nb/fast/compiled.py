"""`torch.compile` for the boxes of a model, with a way back.

Every box is compiled for the shapes it meets (static shapes: a predictor asks for few). Where the compiler is missing
or fails, the box goes on uncompiled and one warning says why; results differ from uncompiled ones by rounding only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from sam2nb.model.sam2 import SAM2

BOXES = ("image_encoder", "memory_attention", "memory_encoder", "sam_mask_decoder")

logger = logging.getLogger(__name__)


def compile_boxes(model: SAM2, mode: str | None = None) -> SAM2:
    """Compile the four large boxes in place; the first call of each then takes a minute or more.

    mode: as `torch.compile` has it, such as "max-autotune".
    """
    for name in BOXES:
        box = getattr(model, name)
        box.forward = _with_a_way_back(name, torch.compile(box.forward, mode=mode, dynamic=False), box.forward)
    return model


def _with_a_way_back(name: str, compiled: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """Call `compiled` until it fails for the first time, `plain` from then on."""
    failed = False

    @wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal failed
        if not failed:
            try:
                return compiled(*args, **kwargs)
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception as error:  # whatever the compiler or its toolchain raises, the answer is the same
                failed = True
                logger.warning("%s goes on uncompiled: %s", name, str(error).strip().splitlines()[0][:200])
        return plain(*args, **kwargs)

    return forward
