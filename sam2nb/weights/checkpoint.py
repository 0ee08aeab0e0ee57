"""Load a checkpoint into a model, and save a model as a checkpoint.

Files carry Meta's tensor names, which are also the names of our own state dict, so parameters need no renaming.
A file without the tensors that only video needs is accepted: `missing_parts` of the model names what it lacks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from sam2nb.weights.files import VIDEO_PARTS, Identity, StateFile, identify, read_state_file, write_state_file

logger = logging.getLogger(__name__)

SCORE_HEAD = "sam_mask_decoder.pred_obj_score_head"
PART_WORDS = {  # parts that the learned memory cannot do without, in words
    "memory_attention": "memory attention",
    "memory_encoder": "memory encoder",
    "obj_ptr_proj": "object pointers",
    SCORE_HEAD: "the object-score head",
}


def load_checkpoint(model: nn.Module, path: str | Path) -> nn.Module:
    """Load the weights of a file into a model, strictly, and return the model.

    path: official .pt, our .safetensors, or a Hugging Face folder or file. Half-precision tensors are converted to
    the model's dtype. A file with the complete image path and no memory is accepted too: parameters that it lacks keep
    their random values, and `model.missing_parts` names them.
    Raises FileNotFoundError, and ValueError that says what the file holds and which configuration fits it, or names a
    tensor with NaN or infinite values; the model then stays as it was.
    """
    file = read_state_file(path)
    own = model.state_dict()
    problems = _differences(file.state, own)
    missing_parts = _missing_video_parts(file.state, own)
    if problems and (_conflict(file.identity, identify(own)) or not _only_video_is_missing(file.state, own)):
        raise ValueError(_explain(file, own, problems))
    _check_values(file, own)
    model.load_state_dict(file.state, strict=not missing_parts)
    model.missing_parts = missing_parts
    if missing_parts:
        logger.info("%s holds the image path only: videos are tracked by matching", file.path.name)
    return model


def save_checkpoint(
    model: nn.Module, path: str | Path, *, dtype: torch.dtype | None = None, metadata: Mapping[str, str] | None = None
) -> Path:
    """Save the model's weights under official names, as .pt ({"model": …}) or .safetensors, and return the path.

    dtype: torch.float16 or torch.bfloat16 halves the file; default: the dtype of the model's weights.
    metadata: short notes to store in the file. Parts that were never loaded (`missing_parts`) are left out.
    Raises ValueError for another suffix or an integer dtype.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type such as torch.float16, got {dtype}")
    missing = tuple(getattr(model, "missing_parts", ()))
    state = loaded_state(model)
    if dtype is not None:
        state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    identity = identify(model.state_dict())
    config = getattr(model, "config_name", None) or (identity and identity.config)  # Meta's models carry no name
    notes = {"config": config} if config else {}
    if missing:
        notes |= {"scope": "image path only", "missing": ", ".join(missing)}
    return write_state_file(path, state, notes | dict(metadata or {}))


def loaded_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state dict without the parts that its checkpoint lacked."""
    missing = tuple(getattr(model, "missing_parts", ()))
    return {name: tensor for name, tensor in model.state_dict().items() if not _belongs_to(name, missing)}


def require_video_weights(model: object) -> None:
    """Raise ValueError for a model with image-only weights; it says what is missing and which checkpoints have it."""
    missing = getattr(model, "missing_parts", ())  # Meta's models have no such attribute
    if missing:
        raise ValueError(missing_memory(missing))


def missing_memory(missing_parts: Sequence[str]) -> str:
    """The sentence for a user who wants the learned memory of image-only weights."""
    parts = [words for part, words in PART_WORDS.items() if part in missing_parts] or list(missing_parts)
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return (
        f"this checkpoint has no learned memory: weights for {listed} are missing. It can segment images, and track by "
        'matching (memory="match"); every other checkpoint has them, for example sam2nb_nano or sam2.1_hiera_tiny'
    )


def _belongs_to(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def _differences(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """The reasons why strict loading would fail, one line per tensor."""
    lines = [f"{name} is missing" for name in own if name not in state]
    lines += [f"{name} is not in the model" for name in state if name not in own]
    return lines + [
        f"{name} is {tuple(state[name].shape)}, the model has {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]


def _check_values(file: StateFile, own: Mapping[str, Tensor]) -> None:
    """Raise ValueError for weights that are no finite real numbers."""
    for name, tensor in file.state.items():
        if own[name].is_floating_point() and not tensor.is_floating_point():
            raise ValueError(f"{file.path} holds {name} as {tensor.dtype}: expected floating-point weights")
        if not tensor.float().sum().isfinite():
            raise ValueError(
                f"{file.path} holds NaN or infinite values in {name}: it is damaged, or was written by a training that "
                "diverged"
            )


def _missing_video_parts(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The video parts of the model for which the file has no tensor."""
    return tuple(
        part
        for part in VIDEO_PARTS
        if any(_belongs_to(name, (part,)) for name in own) and not any(_belongs_to(name, (part,)) for name in state)
    )


def _only_video_is_missing(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Whether the file has the complete image path in the right shapes, and nothing for video but object scores."""
    image_path = {name for name in own if not _belongs_to(name, VIDEO_PARTS)}
    score_head = {name for name in own if _belongs_to(name, (SCORE_HEAD,))}  # in image models of transformers
    fits = all(name in own and tensor.shape == own[name].shape for name, tensor in state.items())
    return fits and set(state) in (image_path, image_path | score_head)


def _explain(file: StateFile, own: Mapping[str, Tensor], problems: list[str]) -> str:
    """The error message for a file that does not fit: what it holds, what the model is, what would fit."""
    theirs, ours = file.identity, identify(own)
    if theirs is None:
        return (
            f"{file.path} is not a SAM 2 checkpoint: it has no image_encoder.trunk.* tensors, "
            f"but for example {', '.join(list(file.state)[:3])}"
        )
    if _conflict(theirs, ours):
        config = f"; build the model with config {theirs.config!r}" if theirs.config else ""
        return f"{file.path} holds {theirs}, the model is {ours}{config}"
    shown = "; ".join(problems[:4]) + (f"; and {len(problems) - 4} more" if len(problems) > 4 else "")
    return f"{file.path} holds {theirs} like the model, but differs in {len(problems)} tensors: {shown}"


def _conflict(theirs: Identity | None, ours: Identity | None) -> bool:
    """Whether the two are surely different models."""
    if theirs is None or ours is None:
        return False
    if (theirs.width, theirs.blocks) != (ours.width, ours.blocks):
        return True
    return theirs.generation is not None and theirs.generation != ours.generation
