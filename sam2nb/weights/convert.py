"""Rewrite a checkpoint: another format, another precision, other tensor names."""

from __future__ import annotations

from pathlib import Path

import torch

from sam2nb.weights.download import download
from sam2nb.weights.files import read_state_file, write_state_file
from sam2nb.weights.names import to_hugging_face

NAMINGS = ("official", "huggingface")
AS_STORED = "as stored"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def export_checkpoint(source: str, target: str | Path, *, dtype: str = AS_STORED, naming: str = "official") -> Path:
    """Write a checkpoint again, as .pt or .safetensors, in another precision or with Hugging Face's tensor names.

    source: a checkpoint name (downloaded if it is not on disk) or a file.
    dtype: "float32", "float16", "bfloat16" or "as stored". naming: "official" or "huggingface".
    Raises ValueError for any other dtype, naming or suffix of `target`, OSError when no source can be reached.
    """
    if naming not in NAMINGS:
        raise ValueError(f"naming must be one of {', '.join(NAMINGS)}, got {naming!r}")
    if dtype != AS_STORED and dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    file = read_state_file(source if Path(source).exists() else download(source))
    state = file.state
    if dtype in DTYPES:
        state = {name: value.to(DTYPES[dtype]) if value.is_floating_point() else value for name, value in state.items()}
    if naming == "huggingface":
        state = to_hugging_face(state)
    config = {"config": file.identity.config} if file.identity and file.identity.config else {}
    return write_state_file(target, state, config | file.metadata)
