"""Text tables of checkpoints, for `info`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sam2nb.resources import resource_dir
from sam2nb.weights.files import StateFile, read_state_file
from sam2nb.weights.registry import CHECKPOINTS, Checkpoint, checkpoint_folder, file_on_disk, find_checkpoint

PUBLISHED_NOTE = (
    "FPS and J&F (SA-V test, MOSE val, LVOS v2) as published by Meta for video on an A100, everything compiled, one "
    "object, decoding excluded."
)

ENGINE_LOSSES = "benchmarks/engine_losses.json"  # in data/, made by tools/measure_engines.py
ENGINES_NOTE = "measured on data/sample/stills by tools/measure_engines.py"


def checkpoint_table() -> list[str]:
    """All checkpoints, one line each: size, published numbers, and the file on this machine."""
    lines = [f"{'name':24} {'M params':>8} {'FPS':>6} {'SA-V':>6} {'MOSE':>6} {'LVOS':>6}  on this machine"]
    for checkpoint in CHECKPOINTS.values():
        size = f"{checkpoint.parameters / 1e6:.1f}"
        numbers = "".join(f" {number:6.1f}" for number in checkpoint.published) if checkpoint.published else " " * 28
        file = file_on_disk(checkpoint.name)
        lines.append(f"{checkpoint.name:24} {size:>8}{numbers}  {_path_and_size(file) if file else '-'}")
    return [*lines, "", PUBLISHED_NOTE, f"Downloads go to {checkpoint_folder()}."]


def published_rows() -> list[list[str]]:
    """Meta's checkpoints for a table: name, millions of parameters, FPS and J&F on SA-V test, as published."""
    numbered = [(checkpoint, checkpoint.published) for checkpoint in CHECKPOINTS.values() if checkpoint.published]
    return [[c.name, f"{c.parameters / 1e6:.0f}", f"{p.fps:.0f}", f"{p.sa_v_test:.1f}"] for c, p in numbered]


def checkpoint_card(name_or_path: str) -> list[str]:
    """Everything known about one checkpoint, by name, or about a checkpoint file, by path.

    Raises ValueError for an unknown name or a file that is no checkpoint.
    """
    if Path(name_or_path).exists():
        return _file_lines(read_state_file(name_or_path))
    checkpoint = find_checkpoint(name_or_path)
    file = file_on_disk(checkpoint.name)
    lines = [*_registry_lines(checkpoint), *_engine_lines(checkpoint.name)]
    return lines + (_file_lines(read_state_file(file)) if file else [_line("on this machine", "no")])


def checkpoint_facts(name_or_path: str | None = None) -> list[dict[str, Any]]:
    """All checkpoints, or one by name or path, as plain facts for programs; `file` is None if it is not on the machine.

    Raises what `checkpoint_card` raises.
    """
    if name_or_path is not None and Path(name_or_path).exists():
        file = read_state_file(name_or_path)
        return [{"file": str(file.path), "holds": file.identity, "tensors": len(file.state), **file.metadata}]
    facts = []
    for checkpoint in CHECKPOINTS.values() if name_or_path is None else [find_checkpoint(name_or_path)]:
        file = file_on_disk(checkpoint.name)
        published = checkpoint.published and checkpoint.published._asdict()
        facts.append({**asdict(checkpoint), "published": published, "file": None if file is None else str(file)})
    return facts


def _registry_lines(checkpoint: Checkpoint) -> list[str]:
    facts = {
        "name": checkpoint.name,
        "config": checkpoint.config,
        "generation": f"SAM {checkpoint.generation}",
        "parameters": f"{checkpoint.parameters:,}",
        "licence": checkpoint.licence,
        "official file": checkpoint.url,
        "Hugging Face": checkpoint.hugging_face,
    }
    lines = [_line(label, value) for label, value in facts.items() if value]
    if checkpoint.published:
        fps, sa_v, mose, lvos = checkpoint.published
        lines.append(_line("published", f"{fps} FPS; J&F {sa_v} SA-V test, {mose} MOSE val, {lvos} LVOS v2"))
        lines.append(_line("", PUBLISHED_NOTE))
    return lines


def _engine_lines(name: str) -> list[str]:
    """The measured cost of other engines and precisions, one line each."""
    file = resource_dir("data") / ENGINE_LOSSES
    losses = json.loads(file.read_text()).get(name, {}) if file.is_file() else {}
    lines = [
        _line(
            "" if index else "engines",
            f"{way:17}  IoU by box {figures['box']:.3f}, by one click {figures['1 click']:.3f}; "
            f"with the masks of float32 {figures['same box']:.3f}, {figures['same click']:.3f}",
        )
        for index, (way, figures) in enumerate(losses.items())
    ]
    return [*lines, _line("", ENGINES_NOTE)] if lines else []


def _file_lines(file: StateFile) -> list[str]:
    values = sum(tensor.numel() for tensor in file.state.values())
    dtypes = ", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in file.state.values()}))
    remembers = any(name.startswith("memory_attention.") for name in file.state)
    notes = {key: value for key, value in file.metadata.items() if key != "format"}
    return [
        _line("file", _path_and_size(file.path)),
        _line("holds", f"{file.identity or 'no SAM 2'}: {len(file.state)} tensors, {values:,} values, {dtypes}"),
        *([_line("video", "with learned memory" if remembers else "by matching")] if file.identity else []),
        *(_line(key, value) for key, value in sorted(notes.items())),
    ]


def _path_and_size(file: Path) -> str:
    return f"{file} ({file.stat().st_size / 1e6:.0f} MB)"


def _line(label: str, value: object) -> str:
    return f"{label:16} {value}"
