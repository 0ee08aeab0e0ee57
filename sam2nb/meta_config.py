"""Meta's configuration files: which of ours builds the same model, and what was changed in the file.

A file from a checkout of the official package, or an edited copy of one, is read as plain YAML. Each of its settings is
either translated, or must have the value that every official model has; those that change nothing in a prediction
(`WITHOUT_EFFECT`) are not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sam2nb.weights.registry import TRUNKS, config_of

# Meta's name of a setting -> ours; both within `model:`.
SAME = ("image_size", "num_maskmem", "compile_image_encoder", "image_encoder.scalp", "memory_encoder.out_dim")
TRANSLATED = {name: name for name in (*SAME, "memory_attention.num_layers")} | {
    "image_encoder.trunk.embed_dim": "image_encoder.trunk.embed_dim",
    "image_encoder.trunk.num_heads": "image_encoder.trunk.num_heads",
    "image_encoder.trunk.stages": "image_encoder.trunk.stages",
    "image_encoder.trunk.window_spec": "image_encoder.trunk.windows",
    "image_encoder.trunk.global_att_blocks": "image_encoder.trunk.global_blocks",
    "image_encoder.neck.d_model": "image_encoder.neck.d_model",
    "image_encoder.neck.fpn_top_down_levels": "image_encoder.neck.top_down_levels",
    "memory_attention.layer.dim_feedforward": "memory_attention.feedforward_width",
    "memory_encoder.fuser.num_layers": "memory_encoder.num_layers",
}
BACKWARDS = {"image_encoder.neck.backbone_channel_list": "image_encoder.neck.widths"}  # coarsest level first there
SQUARE = {"image_encoder.trunk.window_pos_embed_bkg_spatial_size": "image_encoder.trunk.position_grid"}
GENERATION = (  # true in SAM 2.1, false or missing in 2.0
    "no_obj_embed_spatial",
    "proj_tpos_enc_in_obj_ptrs",
    "add_tpos_enc_to_obj_ptrs",
    "use_signed_tpos_enc_to_obj_ptrs",
)
FIXED = {  # as in all official configurations
    "sigmoid_scale_for_mem_enc": 20.0,
    "sigmoid_bias_for_mem_enc": -10.0,
    "use_mask_input_as_output_without_sam": True,
    "directly_add_no_mem_embed": True,
    "use_high_res_features_in_sam": True,
    "multimask_output_in_sam": True,
    "multimask_output_for_tracking": True,
    "use_multimask_token_for_obj_ptr": True,
    "multimask_min_pt_num": 0,
    "multimask_max_pt_num": 1,
    "iou_prediction_use_sigmoid": True,
    "use_obj_ptrs_in_encoder": True,
    "only_obj_ptrs_in_the_past_for_eval": True,
    "pred_obj_scores": True,
    "pred_obj_scores_mlp": True,
    "fixed_no_obj_ptr": True,
    "use_mlp_for_obj_ptr_proj": True,
    "max_obj_ptrs_in_encoder": 16,
    "memory_temporal_stride_for_eval": 1,
}
FIXED_INSIDE = {  # settings inside the boxes, by their last name, and the values that they have in official files
    "d_model": (256,),
    "fpn_interp_model": ("nearest",),
    "normalize": (True,),
    "scale": (None,),
    "temperature": (10000,),
    "num_pos_feats": (256, 64),
    "pos_enc_at_input": (True,),
    "pos_enc_at_attn": (False,),
    "pos_enc_at_cross_attn_keys": (True,),
    "pos_enc_at_cross_attn_queries": (False,),
    "activation": ("relu",),
    "rope_theta": (10000.0,),
    "rope_k_repeat": (True,),
    "embedding_dim": (256,),
    "num_heads": (1,),
    "downsample_rate": (1,),
    "kv_in_dim": (64,),
    "kernel_size": (3, 7),
    "stride": (2,),
    "padding": (1, 3),
    "dim": (256,),
    "use_dwconv": (True,),
}
# for training alone, and the grid of rotary positions, which follows the size of the input here
WITHOUT_EFFECT = ("dropout", "layer_scale_init_value", "feat_sizes")
DEFAULT_TRUNK = "base_plus"  # a file that names no stages means those
PACKAGE = "sam2"  # whose classes the file names
MARK = f"{PACKAGE}.modeling"


def is_meta_config(path: Path) -> bool:
    """Whether a file on disk is a configuration of the official package."""
    return path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace")


def translate(path: Path) -> tuple[str, list[str]]:
    """A configuration file of the official package -> the name of ours, hydra overrides of it

    Raises ValueError for a file without a model, and for a setting that this package does not have.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"config_file {str(path)!r} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError(f"config_file {str(path)!r} has no `model:` section")
    settings = _flat(content["model"])
    is_2_1 = bool(settings.get("no_obj_embed_spatial"))
    overrides = [line for name, value in settings.items() if (line := _override(path, name, value, is_2_1))]
    width, stages = (settings.get(f"image_encoder.trunk.{part}") for part in ("embed_dim", "stages"))
    known = (size for size, trunk in TRUNKS.items() if stages and (trunk.width, trunk.blocks) == (width, sum(stages)))
    return config_of("2.1" if is_2_1 else "2.0", next(known, DEFAULT_TRUNK)), overrides


def _flat(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in section.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _override(path: Path, name: str, value: Any, is_2_1: bool) -> str | None:
    """The override of ours for one setting, None where there is nothing to change; ValueError where there is no way."""
    if name in TRANSLATED:
        return f"++model.{TRANSLATED[name]}={_text(value)}"
    if name in BACKWARDS:
        return f"++model.{BACKWARDS[name]}={_text(value[::-1])}"
    if name in SQUARE and value[0] == value[1]:
        return f"++model.{SQUARE[name]}={value[0]}"
    last = name.rsplit(".", 1)[-1]
    if last in WITHOUT_EFFECT or (last == "_target_" and str(value).startswith(f"{PACKAGE}.")):
        return None
    allowed: tuple[Any, ...] = ()
    if name in GENERATION:
        allowed = (is_2_1,)
    elif name in FIXED:
        allowed = (FIXED[name],)
    elif "." in name:
        allowed = FIXED_INSIDE.get(last, ())
    if not allowed:
        raise ValueError(f"config_file {str(path)!r} sets {name} to {value!r}, which sam2nb does not have")
    if value not in allowed:
        only = " or ".join(map(repr, allowed))
        raise ValueError(f"config_file {str(path)!r} sets {name} to {value!r}; sam2nb has it at {only} only")
    return None


def _text(value: Any) -> str:
    """A number, truth or list as hydra reads it."""
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
