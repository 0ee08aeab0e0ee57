"""Translate tensor names between Meta and Hugging Face.

One two-way table, for `Sam2Model` and `Sam2VideoModel` of transformers; the first rule that matches a name decides.
Two changes are more than a new name: Hugging Face stacks the four point embeddings into one tensor, and stores the
Fourier matrix of the prompt encoder twice.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

# {n}: a number. {p}: weight or bias. {rest}: anything.
RULES = (
    # image encoder
    ("image_encoder.trunk.patch_embed.proj.{p}", "vision_encoder.backbone.patch_embed.projection.{p}"),
    ("image_encoder.trunk.blocks.{n}.norm{i}.{p}", "vision_encoder.backbone.blocks.{n}.layer_norm{i}.{p}"),
    ("image_encoder.trunk.blocks.{n}.mlp.layers.0.{p}", "vision_encoder.backbone.blocks.{n}.mlp.proj_in.{p}"),
    ("image_encoder.trunk.blocks.{n}.mlp.layers.1.{p}", "vision_encoder.backbone.blocks.{n}.mlp.proj_out.{p}"),
    ("image_encoder.trunk.{rest}", "vision_encoder.backbone.{rest}"),
    ("image_encoder.neck.convs.{n}.conv.{p}", "vision_encoder.neck.convs.{n}.{p}"),
    # prompt encoder
    ("sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "shared_image_embedding.positional_embedding"),
    ("sam_prompt_encoder.mask_downscaling.0.{p}", "prompt_encoder.mask_embed.conv1.{p}"),
    ("sam_prompt_encoder.mask_downscaling.1.{p}", "prompt_encoder.mask_embed.layer_norm1.{p}"),
    ("sam_prompt_encoder.mask_downscaling.3.{p}", "prompt_encoder.mask_embed.conv2.{p}"),
    ("sam_prompt_encoder.mask_downscaling.4.{p}", "prompt_encoder.mask_embed.layer_norm2.{p}"),
    ("sam_prompt_encoder.mask_downscaling.6.{p}", "prompt_encoder.mask_embed.conv3.{p}"),
    ("sam_prompt_encoder.{rest}", "prompt_encoder.{rest}"),
    # mask decoder
    ("sam_mask_decoder.transformer.layers.{n}.norm{i}.{p}", "mask_decoder.transformer.layers.{n}.layer_norm{i}.{p}"),
    ("sam_mask_decoder.transformer.{mlp}.layers.0.{p}", "mask_decoder.transformer.{mlp}.proj_in.{p}"),
    ("sam_mask_decoder.transformer.{mlp}.layers.1.{p}", "mask_decoder.transformer.{mlp}.proj_out.{p}"),
    ("sam_mask_decoder.transformer.norm_final_attn.{p}", "mask_decoder.transformer.layer_norm_final_attn.{p}"),
    ("sam_mask_decoder.transformer.{at}.out_proj.{p}", "mask_decoder.transformer.{at}.o_proj.{p}"),
    ("sam_mask_decoder.output_upscaling.0.{p}", "mask_decoder.upscale_conv1.{p}"),
    ("sam_mask_decoder.output_upscaling.1.{p}", "mask_decoder.upscale_layer_norm.{p}"),
    ("sam_mask_decoder.output_upscaling.3.{p}", "mask_decoder.upscale_conv2.{p}"),
    ("sam_mask_decoder.{head}.layers.0.{p}", "mask_decoder.{head}.proj_in.{p}"),
    ("sam_mask_decoder.{head}.layers.1.{p}", "mask_decoder.{head}.layers.0.{p}"),
    ("sam_mask_decoder.{head}.layers.2.{p}", "mask_decoder.{head}.proj_out.{p}"),
    ("sam_mask_decoder.{rest}", "mask_decoder.{rest}"),
    # memory attention
    ("memory_attention.layers.{n}.norm{i}.{p}", "memory_attention.layers.{n}.layer_norm{i}.{p}"),
    ("memory_attention.layers.{n}.{at}.out_proj.{p}", "memory_attention.layers.{n}.{at}.o_proj.{p}"),
    ("memory_attention.norm.{p}", "memory_attention.layer_norm.{p}"),
    ("memory_attention.{rest}", "memory_attention.{rest}"),
    # memory encoder
    ("memory_encoder.mask_downsampler.encoder.0.{p}", "memory_encoder.mask_downsampler.layers.0.conv.{p}"),
    ("memory_encoder.mask_downsampler.encoder.1.{p}", "memory_encoder.mask_downsampler.layers.0.layer_norm.{p}"),
    ("memory_encoder.mask_downsampler.encoder.3.{p}", "memory_encoder.mask_downsampler.layers.1.conv.{p}"),
    ("memory_encoder.mask_downsampler.encoder.4.{p}", "memory_encoder.mask_downsampler.layers.1.layer_norm.{p}"),
    ("memory_encoder.mask_downsampler.encoder.6.{p}", "memory_encoder.mask_downsampler.layers.2.conv.{p}"),
    ("memory_encoder.mask_downsampler.encoder.7.{p}", "memory_encoder.mask_downsampler.layers.2.layer_norm.{p}"),
    ("memory_encoder.mask_downsampler.encoder.9.{p}", "memory_encoder.mask_downsampler.layers.3.conv.{p}"),
    ("memory_encoder.mask_downsampler.encoder.10.{p}", "memory_encoder.mask_downsampler.layers.3.layer_norm.{p}"),
    ("memory_encoder.mask_downsampler.encoder.12.{p}", "memory_encoder.mask_downsampler.final_conv.{p}"),
    ("memory_encoder.pix_feat_proj.{p}", "memory_encoder.feature_projection.{p}"),
    ("memory_encoder.fuser.layers.{n}.gamma", "memory_encoder.memory_fuser.layers.{n}.scale"),
    ("memory_encoder.fuser.layers.{n}.dwconv.{p}", "memory_encoder.memory_fuser.layers.{n}.depthwise_conv.{p}"),
    ("memory_encoder.fuser.layers.{n}.norm.{p}", "memory_encoder.memory_fuser.layers.{n}.layer_norm.{p}"),
    ("memory_encoder.fuser.layers.{n}.pwconv{i}.{p}", "memory_encoder.memory_fuser.layers.{n}.pointwise_conv{i}.{p}"),
    ("memory_encoder.out_proj.{p}", "memory_encoder.projection.{p}"),
    # parameters outside the boxes
    ("mask_downsample.{p}", "mask_downsample.{p}"),
    ("obj_ptr_proj.layers.0.{p}", "object_pointer_proj.proj_in.{p}"),
    ("obj_ptr_proj.layers.1.{p}", "object_pointer_proj.layers.0.{p}"),
    ("obj_ptr_proj.layers.2.{p}", "object_pointer_proj.proj_out.{p}"),
    ("obj_ptr_tpos_proj.{p}", "temporal_positional_encoding_projection_layer.{p}"),
    ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_mem_embed", "no_memory_embedding"),
    ("no_mem_pos_enc", "no_memory_positional_encoding"),
    ("no_obj_ptr", "no_object_pointer"),
    ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
)
WILDCARDS = {
    "n": r"\d+",
    "i": r"\d",
    "p": "weight|bias",
    "rest": ".+",
    "at": r"(?:layers\.\d+\.)?\w*attn\w*",
    "mlp": r"layers\.\d+\.mlp",
    "head": r"(?:output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head)",
}
POINT_EMBED = "prompt_encoder.point_embed.weight"  # (4, 256), stacked
POINT_EMBEDDINGS = "sam_prompt_encoder.point_embeddings.{}.weight"  # (1, 256) each
FOURIER_COPY = "prompt_encoder.shared_embedding.positional_embedding"
FOURIER = "shared_image_embedding.positional_embedding"


def to_pattern(template: str) -> re.Pattern[str]:
    """The regular expression of one side of a rule: its {wildcards} match, everything else is literal."""
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{p}>{WILDCARDS[p]})" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


_FROM_OFFICIAL = [(to_pattern(official), theirs) for official, theirs in RULES]
_TO_OFFICIAL = [(to_pattern(theirs), official) for official, theirs in RULES]


def _rename(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, template in rules:
        match = pattern.fullmatch(name)
        if match:
            return template.format(**match.groupdict())
    return name  # an unknown name is kept, so that strict loading reports it


def is_hugging_face(state: dict[str, Tensor]) -> bool:
    """Whether these tensors have the names that transformers uses."""
    return any(name.startswith("vision_encoder.") for name in state)


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename from Hugging Face to Meta; the values stay the same."""
    state = dict(state)
    state.setdefault(FOURIER, state.pop(FOURIER_COPY, None))
    if state[FOURIER] is None:
        del state[FOURIER]
    points = state.pop(POINT_EMBED, torch.empty(0, 1))
    official = {_rename(name, _TO_OFFICIAL): tensor for name, tensor in state.items()}
    return official | {POINT_EMBEDDINGS.format(i): row[None] for i, row in enumerate(points)}


def to_hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename from Meta to transformers' `Sam2VideoModel`; the values stay the same."""
    state = dict(state)
    rows = [state.pop(POINT_EMBEDDINGS.format(i)) for i in range(4) if POINT_EMBEDDINGS.format(i) in state]
    theirs = {_rename(name, _FROM_OFFICIAL): tensor for name, tensor in state.items()}
    if rows:
        theirs[POINT_EMBED] = torch.cat(rows)
    if FOURIER in theirs:
        theirs[FOURIER_COPY] = theirs[FOURIER].clone()  # safetensors refuses shared storage
    return theirs
