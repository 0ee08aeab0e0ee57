"""Load and save the SAM 2 inside `Sam2Model` and `Sam2VideoModel`, with the options of transformers."""

from __future__ import annotations

from pathlib import Path

import torch

from sam2nb.build import build_sam2, pick_device, pick_dtype
from sam2nb.huggingface.config import CONFIG_FILE, Sam2Config, transformers_config, write_json
from sam2nb.model.sam2 import SAM2
from sam2nb.weights.checkpoint import load_checkpoint, loaded_state
from sam2nb.weights.download import download
from sam2nb.weights.files import write_state_file
from sam2nb.weights.names import to_hugging_face


def build_random(config: Sam2Config) -> SAM2:
    """A SAM 2 with random weights, on the CPU."""
    size = f"++model.image_size={config.image_size}"
    return build_sam2(config.config, device="cpu", hydra_overrides_extra=[size])


def load_into(
    sam2: SAM2, name: str | Path, dtype: str | torch.dtype | None, device_map: str | torch.device | None
) -> SAM2:
    """Load trained weights by checkpoint name, Hugging Face id, file or folder.

    dtype: the precision to compute in, None for float32; weights stay float32. device_map: None for the CPU, "auto" for
    the best device here, or a device. Raises ValueError for an unknown name, OSError when no source can be reached.
    """
    device = torch.device("cpu") if device_map is None else pick_device(None if device_map == "auto" else device_map)
    load_checkpoint(sam2, name if Path(name).exists() else download(str(name)))
    sam2.compute_dtype = pick_dtype(torch.float32 if dtype is None else dtype, device)
    return sam2.to(device)


def save_folder(sam2: SAM2, folder: str | Path) -> None:
    """Write model.safetensors and config.json as transformers reads them; image-only weights without video parts.

    Raises ValueError where transformers has no such model (our nano).
    """
    notes = transformers_config(sam2)
    write_json(Path(folder) / CONFIG_FILE, notes)
    write_state_file(Path(folder) / "model.safetensors", to_hugging_face(loaded_state(sam2)))


def split_target(
    device: str | torch.device | torch.dtype | None, dtype: torch.dtype | None
) -> tuple[torch.device | None, torch.dtype | None]:
    """The arguments of `module.to`, which takes a device, a precision or both -> device, precision"""
    if isinstance(device, torch.dtype):
        return None, device
    return (None if device is None else pick_device(device)), dtype
