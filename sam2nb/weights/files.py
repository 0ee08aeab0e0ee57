"""Read, identify and write checkpoint files, without running code that they may contain.

The format is told by the first bytes, never by the file's name. Tensors are returned under Meta's names, whichever
names the file uses. Of PyTorch's containers only the zip archive is read: before torch 2.6 the older pickle could run
code even with `weights_only=True`, and no SAM 2 checkpoint uses it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sam2nb.weights.names import is_hugging_face, to_official
from sam2nb.weights.registry import SUFFIXES, TRUNKS, config_of, file_on_disk
from sam2nb.weights.torch_file import read_torch
from sam2nb.weights.update import UPDATE_OF, apply_update
from sam2nb.whole_file import whole_file

# Parts that only video needs: a model without them still segments images.
VIDEO_PARTS = (
    "memory_attention",
    "memory_encoder",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "mask_downsample",
    "obj_ptr_proj",
    "obj_ptr_tpos_proj",
    "sam_mask_decoder.pred_obj_score_head",
)
GENERATION_2_1_PARTS = ("no_obj_embed_spatial", "obj_ptr_tpos_proj")
CONFIG_NAME = re.compile(r"\w[\w.+-]*(?<!\.yaml)")  # never the path of a file
GENERATION_MARK = "no_obj_embed_spatial"  # 2.1 has it, 2.0 does not


@dataclass(frozen=True)
class StateFile:
    """The content of a checkpoint file: tensors under official names, and the file's own notes."""

    path: Path
    state: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> Identity | None:
        """The SAM 2 that this file holds, or None.

        The file's note settles what its tensors leave open: the configuration of a trunk that is not Meta's, and the
        generation of image-only weights.
        """
        found, config = identify(self.state), self.metadata.get("config", "")
        if found is None or not CONFIG_NAME.fullmatch(config):
            return found
        if found.size is None:
            return replace(found, noted_config=config)
        if found.generation is None and config.startswith("sam2"):
            return replace(found, generation="2.1" if config.startswith("sam2.1") else "2.0")
        return found


@dataclass(frozen=True)
class Identity:
    """The SAM 2 that a set of tensors belongs to.

    width and blocks: of the trunk. generation: "2.0", "2.1", or None where only the missing video parts could tell.
    noted_config: the configuration noted in a file whose trunk is not one of Meta's.
    """

    width: int
    blocks: int
    generation: str | None
    noted_config: str | None = None

    @property
    def size(self) -> str | None:
        """tiny, small, base_plus or large; None for a trunk that is not Meta's."""
        return next((s for s, t in TRUNKS.items() if (t.width, t.blocks) == (self.width, self.blocks)), None)

    @property
    def config(self) -> str | None:
        """The configuration that fits, or None for an unknown trunk."""
        if self.size is None:
            return self.noted_config
        return config_of(self.generation or "2.1", self.size)

    def __str__(self) -> str:
        if self.size:
            trunk = f"hiera {self.size}"
        else:
            trunk = f"the trunk of {self.noted_config}" if self.noted_config else "an unknown trunk"
        release = f"SAM {self.generation}" if self.generation else "SAM 2, image path"
        return f"{release} with {trunk} ({self.blocks} blocks, width {self.width})"


def read_state_file(path: str | Path) -> StateFile:
    """Read a checkpoint file, or the one in a folder -> its tensors under official names.

    A file that is an update of published weights (`sam2nb.weights.update`) is completed with them.
    Raises FileNotFoundError, and ValueError for a file that is not a checkpoint, which says what it is instead.
    """
    file = _read(_file_in(Path(path)))
    if UPDATE_OF not in file.metadata:
        return file
    try:
        return replace(file, state=apply_update(file.state, _published(file.metadata[UPDATE_OF], file.path)))
    except ValueError as error:
        raise ValueError(f"{file.path} cannot be completed: {error}") from None


def _read(path: Path) -> StateFile:
    """The tensors and notes of a file as they are."""
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(b"PK"):
        state, metadata = read_torch(path)
    elif head[8:9] == b"{":
        state, metadata = _read_safetensors(path)
    else:
        raise ValueError(f"{path} is not a checkpoint: {_describe(head)}")
    _check_tensors(path, state)
    return StateFile(path, to_official(state) if is_hugging_face(state) else state, metadata)


def _published(name: str, path: Path) -> dict[str, Tensor]:
    """The published weights that a file builds on; FileNotFoundError that says how to get them."""
    file = file_on_disk(name)
    if file is None:
        raise FileNotFoundError(f"{path.name} builds on {name}, which is not on disk: python -m sam2nb download {name}")
    base = _read(file)
    if UPDATE_OF in base.metadata:
        raise ValueError(f"{file} is an update itself, of {base.metadata[UPDATE_OF]}")
    return base.state


def _check_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless all names are text, and all tensors dense, in memory, and no larger than their data."""
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise ValueError(f"{path} holds no state dict: expected names, found {name!r}")
        is_dense = tensor.layout is torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
        if not is_dense or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            kind = f"{tensor.layout}, {tensor.dtype}, on {tensor.device}"
            raise ValueError(f"{path} holds {name} in a form that is no plain tensor ({kind}): save it dense")


def _file_in(path: Path) -> Path:
    """The checkpoint file at a path: the path itself, or the one inside a folder, as Hugging Face writes them."""
    if os.path.isfile(path):  # unlike Path.is_file, False for a name that is too long
        return path
    if not os.path.exists(path):
        raise FileNotFoundError(f"no checkpoint at {path}")
    if (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    found = sorted(file for pattern in ("*.safetensors", "*.pt") for file in path.glob(pattern))
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found) or "none"
    raise ValueError(f"{path} is a folder; expected model.safetensors or a single checkpoint in it, found {names}")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is a truncated or damaged .safetensors file; download it again") from error


def _describe(head: bytes) -> str:
    """Describe a file by its first bytes, with a remedy where there is one."""
    if not head:
        return "it is empty"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"<":
        return "it is a web page (HTML or XML); the download was answered by something other than the file server"
    if text.startswith(b"version https://git-lfs"):
        return "it is a git-lfs pointer; fetch the real file with `git lfs pull`"
    if head.startswith(b"\x80"):
        return "it is a bare pickle, which can run code; save it again with a current torch.save"
    if all(byte >= 9 for byte in head):
        return f"it is text, beginning with {head[:40].decode('utf-8', 'replace')!r}"
    return f"it begins with the bytes {head[:8].hex(' ')}"


def identify(state: Mapping[str, Tensor]) -> Identity | None:
    """The SAM 2 that these tensors belong to, judged by names and shapes; None if they are something else."""
    patches = state.get("image_encoder.trunk.patch_embed.proj.weight")
    blocks = {int(m[1]) for m in (re.match(r"image_encoder\.trunk\.blocks\.(\d+)\.", name) for name in state) if m}
    if patches is None or patches.ndim == 0 or not blocks:
        return None
    if GENERATION_MARK in state:
        generation = "2.1"
    else:
        generation = "2.0" if "maskmem_tpos_enc" in state else None
    return Identity(patches.shape[0], max(blocks) + 1, generation)


def check_suffix(path: Path) -> None:
    """Raise ValueError for a file to write that is no .pt or .safetensors."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"path must end in .pt or .safetensors, got {path.name!r}")


def write_state_file(path: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """Write tensors as .safetensors, or as .pt in the official layout {"model": state}, and return the path.

    The file appears complete or not at all, see `whole_file`.
    Raises ValueError for any other suffix, OSError where it cannot be written.
    """
    path = Path(path)
    check_suffix(path)
    notes = {"format": "pt", **(metadata or {})}  # "format" is what safetensors readers look for
    # clones: safetensors refuses shared storage, and a memory-mapped tensor may be of the file that is replaced
    tensors = {k: t.detach().cpu().clone(memory_format=torch.contiguous_format) for k, t in state.items()}
    try:
        with whole_file(path) as part:
            if path.suffix == ".safetensors":
                save_file(tensors, part, metadata=notes)
            else:
                torch.save({"model": tensors, "metadata": notes}, part)
    except (SafetensorError, RuntimeError) as error:  # the libraries' forms of an OSError
        raise OSError(f"{path} cannot be written: is the disk full?") from error
    return path


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
