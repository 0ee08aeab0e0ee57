"""Load, save and move models and processors by the calling convention of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from sam2nb.build import build_sam2
from sam2nb.devices import pick_device, pick_dtype
from sam2nb.huggingface.config import (
    CONFIG_FILE,
    Sam2Config,
    processor_image_size,
    save_processor_config,
    transformers_config,
    write_json,
)
from sam2nb.model.sam2 import SAM2
from sam2nb.weights.checkpoint import load_checkpoint, loaded_state
from sam2nb.weights.download import download
from sam2nb.weights.files import write_state_file
from sam2nb.weights.names import to_hugging_face

if TYPE_CHECKING:
    from typing_extensions import Self


class PretrainedModel(nn.Module):
    """A SAM 2 that is loaded, saved and moved as a model of transformers.

    config: a `Sam2Config` for random weights; `from_pretrained` for trained ones.
    """

    def __init__(self, config: Sam2Config | None = None) -> None:
        super().__init__()
        self.config = config or Sam2Config()
        size = f"++model.image_size={self.config.image_size}"
        self.sam2: SAM2 = build_sam2(self.config.config, device="cpu", hydra_overrides_extra=[size])

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        dtype: str | torch.dtype | None = None,
        device_map: str | torch.device | None = None,
        torch_dtype: str | torch.dtype | None = None,
    ) -> Self:
        """Load trained weights by checkpoint name, Hugging Face id, file or folder; on the CPU, as in transformers.

        dtype: the precision the model computes in, float32 by default; weights stay float32. torch_dtype: its old name.
        device_map: "auto" for the best device here, or a device.
        Raises ValueError for an unknown name, OSError when no source can be reached.
        """
        model = cls(Sam2Config.from_pretrained(name))
        load_into(model.sam2, name, dtype or torch_dtype, device_map)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model.safetensors and config.json as transformers reads them; image-only weights without video parts.

        Raises ValueError where transformers has no such model (our nano).
        """
        notes = transformers_config(self.sam2)
        write_json(Path(folder) / CONFIG_FILE, notes)
        write_state_file(Path(folder) / "model.safetensors", to_hugging_face(loaded_state(self.sam2)))

    def to(self, device: str | torch.device | torch.dtype | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the weights to a device, and choose the precision to compute in; weights stay float32."""
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        device = None if device is None else pick_device(device)
        if dtype is not None:
            self.sam2.compute_dtype = pick_dtype(dtype, device or self.device)
        return self if device is None else super().to(device)

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self.sam2.device


class PretrainedProcessor:
    """A processor that is loaded and saved as one of transformers.

    image_size: side of the model's input in pixels.
    """

    def __init__(self, image_size: int = 1024) -> None:
        self.image_size = image_size

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """The processor that goes with a checkpoint: a name, a Hugging Face id, a file or a folder."""
        return cls(processor_image_size(name))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write processor_config.json, from which `from_pretrained` of transformers and of this class read."""
        save_processor_config(folder, self.image_size, type(self).__name__)


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
