"""The facts beside exported files: sizes, names, and what a program without this package must know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sam2nb.media.images import IMAGENET_MEAN, IMAGENET_STD
from sam2nb.model.memory_bank import MAX_POINTERS
from sam2nb.model.sam2 import EMBEDDING_STRIDE, SAM2
from sam2nb.structures import (
    BOX_CORNER_LABELS,
    EXCLUDE_LABEL,
    INCLUDE_LABEL,
    MASK_LOGIT_CLAMP,
    MASK_STRIDE,
    NO_OBJECT_LOGIT,
    PADDING_LABEL,
)
from sam2nb.weights.checkpoint import missing_memory

HOW_TO = {
    "image": "resize a still image to image_size x image_size (each side on its own; bilinear, antialiased), a video "
    "frame likewise (bicubic, as Pillow's resize does), scale to 0..1, subtract image_mean, divide by image_std",
    "points": "(x, y) in pixels of the model's input; a box is two points with the labels of its corners; objects with "
    "fewer points than others are padded with the label of padding; without a mask prompt, zeros and has_mask false",
    "masks": "mask 0 for a box or several points; for a single point the one of masks 1 to 3 whose iou is highest; the "
    "image at its own size: bilinear upsampling of the logits, positive inside",
}
HOW_TO_TRACK = {
    "absent": "where object_score <= 0 the object is absent: its logits are no_object_logit everywhere",
    "track": "a frame without prompts is decoded with one padding point, and the best of masks 1 to 3 taken; the "
    "pointer of a mask is that of the same number",
    "memories": "rows: num_maskmem - 1 for a prompted frame, age - 1 for one tracked `age` frames ago, the oldest "
    "first, up to num_maskmem - 1 of them; prompted frames come first",
    "pointers": "of prompted frames in the past, then of up to max_pointers - 1 latest frames, the newest first; "
    "distances: frames in between, divided by the smaller of max_pointers and the clip's length, minus 1",
}


def facts_of(model: SAM2, parts: dict[str, Any], dtype: str, opset: int) -> dict[str, Any]:
    """Facts of a model and its files. parts: of each file, see `shapes_of`."""
    side = model.image_size
    facts = {
        "format": "sam2nb onnx 1",
        "model": model.config_name,
        "image_size": side,
        "grid": side // EMBEDDING_STRIDE,
        "mask_size": side // MASK_STRIDE,
        "image_mean": list(IMAGENET_MEAN),
        "image_std": list(IMAGENET_STD),
        "labels": {
            "include": INCLUDE_LABEL,
            "exclude": EXCLUDE_LABEL,
            "box_top_left": BOX_CORNER_LABELS[0],
            "box_bottom_right": BOX_CORNER_LABELS[1],
            "padding": PADDING_LABEL,
        },
        "mask_logit_clamp": MASK_LOGIT_CLAMP,
        "weights": dtype,
        "opset": opset,
        "how_to": HOW_TO,
    }
    if model.missing_parts:
        facts["video"] = f"not possible: {missing_memory(model.missing_parts)}"
    else:
        facts |= {
            "num_maskmem": model.num_maskmem,
            "max_pointers": MAX_POINTERS,
            "no_object_logit": NO_OBJECT_LOGIT,
            "how_to": HOW_TO | HOW_TO_TRACK,
        }
    return facts | {"files": parts}


def shapes_of(path: Path) -> dict[str, Any]:
    """The inputs and outputs of an .onnx file: name -> shape, free axes by name, and type"""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return {"inputs": _shapes(graph.input), "outputs": _shapes(graph.output)}


def _shapes(values: Any) -> dict[str, Any]:
    from onnx import helper

    found = {}
    for value in values:
        kind = value.type.tensor_type
        shape = [axis.dim_param or axis.dim_value for axis in kind.shape.dim]
        found[value.name] = {"shape": shape, "type": helper.tensor_dtype_to_np_dtype(kind.elem_type).name}
    return found
