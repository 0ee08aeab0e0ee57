"""Read .pt files: zip archives of tensors, without running code that they may contain.

`torch.load` is called with `weights_only=True`, and only after the archive has been looked at: `torch.save` never
compresses, so whatever is compressed could grow without limit and is refused.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

LARGEST_PICKLE = 64 << 20  # bytes of names and shapes; the official checkpoints have 100 KB
WANTED = re.compile(r"GLOBAL ([\w.]+)")  # torch's message about a class or function that it does not make


def read_torch(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a .pt file: -> tensors by name, notes by name

    Raises ValueError, which has the file's name, for a damaged file or one that holds anything but tensors.
    """
    members = _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file, torch raises what its bytes lead to
        wanted = WANTED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if wanted:
            raise ValueError(
                f"{path} was refused, and no code in it was run: it asks for {wanted[1]}, where a checkpoint holds "
                "tensors only"
            ) from error
        raise _damaged(path) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected a state dict or {{'model': state dict}}")
    state = content.get("model", content)
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        keys = ", ".join(map(str, list(content)[:5]))
        raise ValueError(f"{path} holds no state dict: expected tensors by name, or those under 'model', found {keys}")
    _check_sizes(path, state, members)
    metadata = content.get("metadata", {}) if "model" in content else {}
    return dict(state), {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}


def _check_archive(path: Path) -> list[zipfile.ZipInfo]:
    """The members of the archive; ValueError unless `torch.save` could have written it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(path) from error
    names = [Path(member.filename).name for member in members]
    if "constants.pkl" in names:
        raise ValueError(f"{path} is a TorchScript program; expected the state dict of a model")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError(f"{path} was refused: it is a compressed archive, which torch.save never writes")
    if any(m.file_size > LARGEST_PICKLE for m, name in zip(members, names, strict=True) if name == "data.pkl"):
        raise ValueError(f"{path} was refused: its names and shapes take more than {LARGEST_PICKLE >> 20} MB")
    return members


def _check_sizes(path: Path, state: dict[str, Tensor], members: list[zipfile.ZipInfo]) -> None:
    """Raise ValueError for tensors that would read more bytes than the archive has for them."""
    stored = sum(member.file_size for member in members if Path(member.filename).parent.name == "data")
    dense = [tensor for tensor in state.values() if tensor.layout is torch.strided and tensor.device.type == "cpu"]
    needed = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in dense}
    if sum(needed.values()) > stored:
        raise _damaged(path)


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path} is a truncated or damaged .pt file; download it again, or save it with torch.save")
