"""Saved state: one .safetensors file with tensors, JSON notes, and the model that they belong to.

Written whole or not at all, without pickle. Read only for the same weights, input size and precision, and only if no
byte has changed.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sam2nb.model.sam2 import SAM2
from sam2nb.weights.fingerprint import weights_fingerprint
from sam2nb.whole_file import whole_file

VERSION = 1  # of the format; one more whenever old files cannot be read any more
NOTES, CHECKSUM = "sam2nb", "crc32"  # entries of the file's metadata
SHOWN_DIGITS = 12  # of a fingerprint


class ModelNote(NamedTuple):
    """The model that a file belongs to.

    config: name of the configuration. weights: fingerprint. image_size: side of the input. precision: such as
    "bfloat16", what predictors compute in.
    """

    config: str
    weights: str
    image_size: int
    precision: str


def note_model(model: SAM2) -> ModelNote:
    """Describe a model for a file."""
    return ModelNote(
        config=model.config_name or "a model without a name",
        weights=weights_fingerprint(model),
        image_size=model.image_size,
        precision=str(model.compute_dtype).removeprefix("torch."),
    )


class SavedState(NamedTuple):
    """The content of a file: JSON notes, and tensors by name."""

    notes: Any
    tensors: dict[str, Tensor]


def write_state(path: str | Path, kind: str, state: SavedState, model: SAM2) -> Path:
    """Write a file, or replace it, and return its path.

    kind: such as "video session"; it is checked on reading. state: its tensors must be contiguous and on the CPU.
    Raises OSError where the disk is full or cannot be written.
    """
    path = Path(path)
    header = {"kind": kind, "version": VERSION, "model": note_model(model)._asdict(), "notes": state.notes}
    text = json.dumps(header)
    metadata = {"format": "pt", NOTES: text, CHECKSUM: str(_checksum(text, state.tensors))}
    try:
        with whole_file(path) as part:
            save_file(state.tensors, part, metadata=metadata)
    except SafetensorError as error:  # the library's form of an OSError
        raise OSError(f"{path} cannot be written: is the disk full?") from error
    return path


def read_state(path: str | Path, kind: str, model: SAM2) -> SavedState:
    """Read a file that `write_state` wrote for the same model.

    Raises FileNotFoundError, and ValueError that names the file for one that is damaged, of another kind or version, or
    of other weights, another input size or precision.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no {kind} {str(path)!r}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # clones: the file may be replaced while they are in use
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is truncated or damaged, or no saved {kind}") from error
    if NOTES not in metadata:
        raise ValueError(f"{path} is no saved {kind}, but another .safetensors file")
    if metadata.get(CHECKSUM) != str(_checksum(metadata[NOTES], tensors)):
        raise ValueError(f"{path} is damaged: its checksum is wrong")
    try:
        header = json.loads(metadata[NOTES])
        saved, notes = ModelNote(**header["model"]), header["notes"]
        _check_header(path, kind, header)
    except (KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no saved {kind}: its notes are incomplete") from error
    _check_model(path, saved, note_model(model))
    return SavedState(notes, tensors)


def _check_header(path: Path, kind: str, header: Mapping[str, Any]) -> None:
    if header["kind"] != kind:
        raise ValueError(f"{path} is a saved {header['kind']}, not a {kind}")
    if header["version"] != VERSION:
        raise ValueError(f"{path} has version {header['version']} of the format, this sam2nb reads version {VERSION}")


def _check_model(path: Path, saved: ModelNote, own: ModelNote) -> None:
    if saved.weights != own.weights:
        theirs, ours = saved.weights[:SHOWN_DIGITS], own.weights[:SHOWN_DIGITS]
        raise ValueError(
            f"{path} was saved with other weights: {saved.config} ({theirs}…), the model is {own.config} ({ours}…)"
        )
    if saved.image_size != own.image_size:
        raise ValueError(f"{path} was saved with image_size={saved.image_size}, the model has {own.image_size}")
    if saved.precision != own.precision:
        raise ValueError(f"{path} was saved with dtype={saved.precision!r}, the model computes in {own.precision!r}")


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> int:
    """The CRC-32 of the notes and of all tensors."""
    value = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy(), value)
    return value
