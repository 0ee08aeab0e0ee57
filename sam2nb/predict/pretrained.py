"""Load the model for `from_pretrained`, and return the options that are left for the predictor."""

from __future__ import annotations

from typing import Any

from sam2nb.build import load_model
from sam2nb.model.sam2 import SAM2

MODEL_OPTIONS = ("device", "dtype", "image_size")


def load_pretrained(model_id: str, options: dict[str, Any]) -> tuple[SAM2, dict[str, Any]]:
    """Split the options of `from_pretrained` between `load_model` and the predictor that will hold the model.

    model_id: a checkpoint's name or Hugging Face id, such as "facebook/sam2.1-hiera-tiny".
    options: device, dtype and image_size go to `load_model`.

    -> the model, the remaining options
    """
    for_the_model = {name: value for name, value in options.items() if name in MODEL_OPTIONS}
    remaining = {name: value for name, value in options.items() if name not in MODEL_OPTIONS}
    return load_model(model_id, **for_the_model), remaining
