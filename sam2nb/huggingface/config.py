"""`Sam2Config`, and the json files from which transformers builds the same model and processor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from sam2nb.build import compose_config, config_names
from sam2nb.media.images import IMAGENET_MEAN, IMAGENET_STD
from sam2nb.model.sam2 import SAM2
from sam2nb.resources import resource_dir
from sam2nb.structures import MASK_STRIDE
from sam2nb.weights.files import identify, read_state_file
from sam2nb.weights.registry import TRUNKS, find_checkpoint

STRIDES = (4, 8, 16)  # of the maps that the neck passes on
CONFIG_FILE, PROCESSOR_FILE = "config.json", "processor_config.json"
PIXELS = {  # as every SAM 2 reads an image, in the words of transformers
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": list(IMAGENET_MEAN),
    "image_std": list(IMAGENET_STD),
    "resample": 2,  # bilinear
    "rescale_factor": 1 / 255,
}


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
        file = read_state_file(path)
        if file.identity is None or file.identity.config is None:
            raise ValueError(f"{name} fits no configuration: it holds {file.identity or 'no SAM 2'}")
        config = _config_by_memory(file.identity.config, file.state)
        notes = path / CONFIG_FILE
        if not notes.is_file():
            return cls._as_trained(config)
        return cls(config, _read_json(notes).get("prompt_encoder_config", {}).get("image_size", cls.image_size))

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
        "num_maskmem": model.num_maskmem,
        "memory_attention_num_layers": len(model.memory_attention.layers),
        "memory_attention_feed_forward_hidden_size": model.memory_attention.layers[0].linear1.out_features,
        "memory_attention_rope_feat_sizes": [side // STRIDES[-1]] * 2,
        "prompt_encoder_config": {"image_size": side},
        "vision_config": _vision_config(_model_section(identity.config).image_encoder, side),
    }


def save_processor_config(folder: str | Path, image_size: int, processor: str) -> None:
    """Write processor_config.json as transformers reads it.

    processor: "Sam2Processor" or "Sam2VideoProcessor".
    """
    size = {"height": image_size, "width": image_size}
    mask_size = {name: side // MASK_STRIDE for name, side in size.items()}
    notes = {
        "processor_class": processor,
        "target_size": image_size,
        "image_processor": {"image_processor_type": "Sam2ImageProcessor", "size": size, "mask_size": mask_size}
        | PIXELS,
    }
    if processor == "Sam2VideoProcessor":
        notes["video_processor"] = PIXELS | {"video_processor_type": "Sam2VideoVideoProcessor", "size": size}
    write_json(Path(folder) / PROCESSOR_FILE, notes)


def processor_image_size(name: str | Path) -> int:
    """The side of the model's input for the processor of a checkpoint's name, a file, or a folder.

    A folder may hold a processor alone. Raises ValueError as `Sam2Config.from_pretrained`.
    """
    notes = Path(name) / PROCESSOR_FILE
    if not notes.is_file():
        return Sam2Config.from_pretrained(str(name)).image_size
    content = _read_json(notes)
    side = content.get("target_size") or content.get("image_processor", {}).get("size", {}).get("height")
    if not isinstance(side, int):
        raise ValueError(f"{notes} names no target_size: it is not the file of a SAM 2 processor")
    return side


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a json file, and the folder it belongs in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not json: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a json object, got a {type(content).__name__}")
    return content


def _config_by_memory(config: str, state: Mapping[str, Tensor]) -> str:
    """The configuration with the memory of these tensors: `config`, or another of ours with the same trunk."""
    layers = {name.split(".")[2] for name in state if name.startswith("memory_attention.layers.")}
    memories = state.get("maskmem_tpos_enc")
    if memories is None or not layers:
        return config
    trunk = _model_section(config).image_encoder.trunk
    for other in (config, *config_names()):
        section = _model_section(other)
        memory = (section.num_maskmem, section.memory_attention.num_layers)
        if section.image_encoder.trunk == trunk and memory == (len(memories), len(layers)):
            return other
    return config


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
