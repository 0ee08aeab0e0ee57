"""`Sam2Config`, and the config.json from which transformers builds the same model."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sam2nb.build import compose_config
from sam2nb.model.sam2 import SAM2
from sam2nb.resources import resource_dir
from sam2nb.weights.files import identify, read_state_file
from sam2nb.weights.registry import TRUNKS, find_checkpoint

STRIDES = (4, 8, 16)  # of the maps that the neck passes on


@dataclass(frozen=True)
class Sam2Config:
    """Which SAM 2 to build: the name of a configuration, and the side of the model's input in pixels."""

    config: str = "sam2.1_hiera_t"
    image_size: int = 1024

    @classmethod
    def from_pretrained(cls, name: str) -> Sam2Config:
        """The configuration of a checkpoint: a name, a Hugging Face id, a file or a folder.

        Raises ValueError for an unknown name, and for a file that fits no configuration.
        """
        path = Path(name)
        if not path.exists():
            return cls._as_trained(find_checkpoint(name).config)
        identity = read_state_file(path).identity
        if identity is None or identity.config is None:
            raise ValueError(f"{name} fits no configuration: it holds {identity or 'no SAM 2'}")
        notes = path / "config.json"
        if not notes.is_file():
            return cls._as_trained(identity.config)
        content = json.loads(notes.read_text(encoding="utf-8"))
        return cls(identity.config, content.get("prompt_encoder_config", {}).get("image_size", cls.image_size))

    @classmethod
    def _as_trained(cls, config: str) -> Sam2Config:
        return cls(config, _model_section(config).image_size)


def transformers_config(model: SAM2) -> dict[str, Any]:
    """The content of the config.json from which transformers builds the same model.

    Raises ValueError where transformers has no such model (our nano).
    """
    identity = identify(model.state_dict())
    if identity is None or identity.size is None:
        named = identity and replace(identity, noted_config=model.config_name)
        raise ValueError(f"transformers has no model like this one: {named}; it knows {', '.join(TRUNKS)}")
    side = model.image_size
    is_2_1 = identity.generation == "2.1"
    return {
        "model_type": "sam2_video",
        "architectures": ["Sam2VideoModel"],
        "image_size": side,
        "enable_occlusion_spatial_embedding": is_2_1,
        "enable_temporal_pos_encoding_for_object_pointers": is_2_1,
        "memory_attention_rope_feat_sizes": [side // STRIDES[-1]] * 2,
        "prompt_encoder_config": {"image_size": side},
        "vision_config": _vision_config(_model_section(identity.config).image_encoder, side),
    }


def _vision_config(image_encoder: DictConfig, side: int) -> dict[str, Any]:
    """Our configuration of trunk and neck, in the words of transformers."""
    trunk, widths = image_encoder.trunk, list(image_encoder.neck.widths)
    return {
        "model_type": "sam2_vision_model",
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[side // stride] * 2 for stride in STRIDES],
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": trunk.embed_dim,
            "num_attention_heads": trunk.num_heads,
            "image_size": [side, side],
            "blocks_per_stage": list(trunk.stages),
            "embed_dim_per_stage": widths,
            "num_attention_heads_per_stage": [trunk.num_heads * 2**stage for stage in range(len(trunk.stages))],
            "global_attention_blocks": list(trunk.global_blocks),
            "window_size_per_stage": list(trunk.windows),
            "window_positional_embedding_background_size": [trunk.position_grid] * 2,
        },
    }


def _model_section(config: str) -> DictConfig:
    """The `model:` section of one of our configurations."""
    return compose_config(resource_dir("configs"), config).model
