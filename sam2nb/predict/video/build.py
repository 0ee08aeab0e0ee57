"""Build a video predictor from a configuration, with the options of the official builder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from sam2nb.build import build_sam2, checkpoint_and_file
from sam2nb.fast.compiled import compile_boxes
from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.tracker import FILL_HOLE_AREA

MODEL_OVERRIDE = re.compile(r"\+{0,2}model\.(?P<name>\w+)=(?P<value>\w+)")
# official options of the model that are options of the predictor here, and their names in `SAM2VideoPredictor`
PREDICTOR_OPTIONS = {
    "fill_hole_area": "fill_hole_area",
    "non_overlap_masks": "non_overlap_masks",
    "binarize_mask_from_pts_for_mem_enc": "binarize_prompted",
}
# official options that are not optional here
FIXED_OPTIONS = {"add_all_frames_to_correct_as_cond": "true", "clear_non_cond_mem_around_input": "false"}


def build_sam2_video_predictor(
    config_file: str | Path,
    ckpt_path: str | Path | None = None,
    device: str | torch.device | None = None,
    mode: str = "eval",
    hydra_overrides_extra: Iterable[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
) -> SAM2VideoPredictor:
    """Build a model as `build_sam2` does, and the video predictor that holds it.

    hydra_overrides_extra: overrides of the model, such as "++model.image_size=512", and the official options of the
        predictor: "++model.fill_hole_area=3", "++model.non_overlap_masks=true",
        "++model.binarize_mask_from_pts_for_mem_enc=false".
    apply_postprocessing: fill small holes, take prompted masks as certain, replace unstable single masks.
    vos_optimized: compile the large boxes of the model; the first frames then take minutes.

    Raises what `build_sam2` raises, and ValueError for an option with a value that it cannot have.
    """
    options: dict[str, bool | int] = {
        "fill_hole_area": FILL_HOLE_AREA if apply_postprocessing else 0,
        "binarize_prompted": apply_postprocessing,
    }
    model_overrides = []
    for override in hydra_overrides_extra:
        parts = MODEL_OVERRIDE.fullmatch(override)
        if parts and parts["name"] in PREDICTOR_OPTIONS:
            options[PREDICTOR_OPTIONS[parts["name"]]] = _read_value(override, parts["value"])
        elif parts and parts["name"] in FIXED_OPTIONS:
            _check_fixed(override, parts["value"], FIXED_OPTIONS[parts["name"]])
        else:
            model_overrides.append(override)
    model = build_sam2(config_file, ckpt_path, device, mode, model_overrides, apply_postprocessing)
    if vos_optimized:
        compile_boxes(model)
    return SAM2VideoPredictor(model, **options)


def build_sam2_video_predictor_hf(model_id: str, **options: Any) -> SAM2VideoPredictor:
    """Build a video predictor with the checkpoint of a Hugging Face id, downloading it once.

    options: as for `build_sam2_video_predictor`. Raises ValueError for an unknown id, OSError when no source can be
    reached.
    """
    checkpoint, path = checkpoint_and_file(model_id)
    return build_sam2_video_predictor(checkpoint.config, path, **options)


def _read_value(override: str, text: str) -> bool | int:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if not text.isdigit():
        raise ValueError(f"{override!r} must be true, false or a number of pixels")
    return int(text)


def _check_fixed(override: str, text: str, only: str) -> None:
    if text.lower() != only:
        raise ValueError(f"{override!r} must be {only}: a correction lasts, and the memories around it are kept")
