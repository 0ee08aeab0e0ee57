"""Load the model for `from_pretrained`, and return the options that are left for the predictor."""

from __future__ import annotations

from typing import Any

from sam2nb.build import load_model
from sam2nb.model.sam2 import SAM2

MODEL_OPTIONS = ("device", "dtype", "image_size", "compile", "fast")
COMPILE_OPTION = "vos_optimized"  # the official name of `compile`


def load_pretrained(model_id: str, options: dict[str, Any]) -> tuple[SAM2, dict[str, Any]]:
    """Split the options of `from_pretrained` between `load_model` and the predictor that will hold the model.

    model_id: a checkpoint's name or Hugging Face id, such as "facebook/sam2.1-hiera-tiny".
    options: device, dtype, image_size, fast and compile (or vos_optimized) go to `load_model`.

    -> the model, the remaining options
    """
    options = {"compile" if name == COMPILE_OPTION else name: value for name, value in options.items()}
    for_the_model = {name: value for name, value in options.items() if name in MODEL_OPTIONS}
    remaining = {name: value for name, value in options.items() if name not in MODEL_OPTIONS}
    return load_model(model_id, **for_the_model), remaining
