"""Build a model from the name of a configuration or checkpoint; the only file that imports hydra.

A configuration is an entry file in `configs/` that picks a generation (2.0, 2.1) and a trunk (nano, t, s, b+, l).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from sam2nb.devices import pick_device, pick_dtype
from sam2nb.fast import accelerate
from sam2nb.fast.compiled import compile_boxes
from sam2nb.meta_config import is_meta_config, translate
from sam2nb.model.sam2 import SAM2
from sam2nb.resources import resource_dir
from sam2nb.weights.checkpoint import load_checkpoint
from sam2nb.weights.registry import (
    CHECKPOINTS,
    SUFFIXES,
    Checkpoint,
    best_on_disk,
    file_on_disk,
    find_checkpoint,
    is_on_disk,
)

INPUT_STRIDE = 32  # the trunk halves the input five times
STABILITY = {  # official settings of the mask decoder; the first is `apply_postprocessing`, the others are fixed
    "dynamic_multimask_via_stability": None,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}

ENGINES = ("openvino",)

log = logging.getLogger(__name__)


def build_sam2(
    config_file: str | Path,
    ckpt_path: str | Path | None = None,
    device: str | torch.device | None = None,
    mode: str = "eval",
    hydra_overrides_extra: Iterable[str] = (),
    apply_postprocessing: bool = True,
    *,
    fast: bool = True,
) -> SAM2:
    """Build a model from a configuration and, if given, load a checkpoint into it.

    config_file: "configs/sam2.1/sam2.1_hiera_t.yaml", "sam2_hiera_t.yaml", "sam2.1_hiera_t", or the path of your own
        file, in our form or Meta's. `compile_image_encoder: True` in it compiles the image encoder.
    ckpt_path: official .pt, our .safetensors, or a Hugging Face folder; None leaves the weights random. A file of a
        folder checkpoints/ that is not there is looked for where this package keeps checkpoints.
    device: None takes the GPU where there is one.
    mode: "eval" or "train".
    hydra_overrides_extra: such as "++model.image_size=512".
    apply_postprocessing: let an unstable single mask give way to the best of three, as the official package does.
    fast: the same numbers, faster (`sam2nb.fast`); False gives the textbook model, exactly as `sam2nb.model` reads.

    With a checkpoint, the random numbers of the program stay as they are. Raises FileNotFoundError for an unknown
    configuration, ValueError for a checkpoint that does not fit it or an override that cannot be read.
    """
    if mode not in ("eval", "train"):
        raise ValueError(f'mode must be "eval" or "train", got {mode!r}')
    overrides = [f"++model.stable_single_mask={'true' if apply_postprocessing else 'false'}", *hydra_overrides_extra]
    name, config = _compose(config_file, overrides)
    compiles = _read_official_settings(config.model)
    check_image_size(config.model.image_size)
    device = pick_device(device)
    with _ordinary_parameters(), nullcontext() if ckpt_path is None else torch.random.fork_rng(devices=[]):
        model: SAM2 = instantiate(config.model)
        model.config_name = name  # save_checkpoint notes it in the file
        if ckpt_path is not None:
            load_checkpoint(model, _find_file(ckpt_path))
        model = model.to(device).train(mode == "train")
    model = accelerate(model) if fast else model
    return compile_boxes(model, ["image_encoder"]) if compiles else model


def build_sam2_hf(model_id: str, **options: Any) -> SAM2:
    """Build a model and load the checkpoint of a Hugging Face id into it, downloading it once.

    options: as for `build_sam2`. Raises ValueError for an unknown id, OSError when no source can be reached.
    """
    checkpoint, path = checkpoint_and_file(model_id)
    return build_sam2(checkpoint.config, path, **options)


@contextmanager
def _ordinary_parameters() -> Iterator[None]:
    """Parameters in float32, on the CPU, that can be trained, whatever the program's defaults are."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(default)


def load_model(
    name: str = "auto",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    image_size: int | None = None,
    compile: bool = False,
    fast: bool = True,
    engine: str | None = None,
    precision: str | None = None,
) -> SAM2:
    """Load a model with trained weights by the name of its checkpoint, downloading it once.

    name: "sam2nb_nano" (comes with the project), "sam2_hiera_tiny", "sam2.1_hiera_large",
        "facebook/sam2.1-hiera-tiny", …; "auto" takes the best checkpoint on disk, nano if there is no other.
    device: None takes the GPU where there is one.
    dtype: what predictors compute in, torch.float32, torch.bfloat16 or torch.float16 (or their names); "auto" takes
        the half precision in which the device is fast, if there is one, None the same on a GPU and float32 on a CPU.
        Weights stay float32.
    image_size: side of the model's input, a multiple of 32; None as trained (1024, nano less).
    compile: `torch.compile` the four large boxes, which pays on GPUs: on a CPU the first calls take minutes and later
        ones as long as before (`sam2nb.fast.compiled`).
    fast: the same numbers, faster (`sam2nb.fast`); False gives the textbook model.
    engine: None for PyTorch, or "openvino", which is faster on processors (`sam2nb.engines.openvino`).
    precision: of the engine, in place of dtype: "float32" (its default), "bfloat16" or "int8".

    Raises ValueError for an unknown name or engine, OSError when no source can be reached.
    """
    check_engine(engine, precision)
    checkpoint, path = checkpoint_and_file(name)
    overrides = [] if image_size is None else [f"++model.image_size={image_size}"]
    device = torch.device("cpu") if engine and device is None else pick_device(device)
    model = build_sam2(checkpoint.config, path, device, hydra_overrides_extra=overrides, fast=fast)
    model.compute_dtype = pick_dtype(dtype, device)
    model = compile_boxes(model) if compile else model
    return use_engine(model, engine, precision)


def use_engine(model: SAM2, engine: str | None, precision: str | None = None) -> SAM2:
    """Run a model in another engine, in place; see `load_model`."""
    check_engine(engine, precision)
    if engine is None:
        return model
    from sam2nb.engines.openvino import use_openvino

    return use_openvino(model, precision or "float32")


def check_engine(engine: str | None, precision: str | None) -> None:
    """Raise ValueError for an unknown engine, or a precision without one."""
    if engine not in (None, *ENGINES):
        raise ValueError(f"engine must be None (PyTorch) or one of {', '.join(ENGINES)}, got {engine!r}")
    if engine is None and precision is not None:
        raise ValueError(f'precision={precision!r} is of an engine, as in engine="openvino"; for PyTorch choose dtype')


def checkpoint_and_file(name: str) -> tuple[Checkpoint, Path]:
    """The checkpoint of a name or Hugging Face id, and its file, downloaded if it is not on disk.

    name: as for `load_model`. Raises ValueError for an unknown name, OSError when no source can be reached.
    """
    checkpoint = _best_on_disk() if name == "auto" else find_checkpoint(name)
    return checkpoint, file_on_disk(checkpoint.name) if is_on_disk(checkpoint) else _download(checkpoint.name)


def _find_file(path: str | Path) -> str | Path:
    """The path, or for a published checkpoint in a folder checkpoints/ that is not there, its file on this machine.

    Raises FileNotFoundError that says how to get it.
    """
    file = Path(path)
    published = file.parent.name == "checkpoints" and file.suffix in SUFFIXES and file.stem in CHECKPOINTS
    if file.exists() or not published:
        return path
    found = file_on_disk(file.stem)
    if found is None:
        raise FileNotFoundError(
            f"ckpt_path: there is no file {str(path)!r}; `python -m sam2nb download {file.stem}` downloads it, "
            f"and load_model({file.stem!r}) does so by itself"
        )
    log.warning("there is no file %s; %s was loaded", path, found)
    return found


def _download(name: str) -> Path:
    from sam2nb.weights.download import download  # an HTTP client, which a checkpoint on disk does not need

    return download(name)


def _best_on_disk() -> Checkpoint:
    best = best_on_disk()
    if best is None:
        raise FileNotFoundError("no checkpoint is on disk, not even sam2nb_nano: the installation is incomplete")
    return best


def check_image_size(image_size: int) -> None:
    """Raise ValueError unless the input's side suits the trunk."""
    if not isinstance(image_size, int) or image_size < INPUT_STRIDE or image_size % INPUT_STRIDE:
        raise ValueError(f"image_size must be a positive multiple of {INPUT_STRIDE}, got {image_size!r}")


def config_names() -> list[str]:
    """List the names of the model configurations that come with the package."""
    return sorted(path.stem for path in resource_dir("configs").glob("sam2*.yaml"))


def compose_config(folder: Path, name: str, overrides: Iterable[str] = ()) -> DictConfig:
    """Compose `folder/name.yaml` with its defaults and hydra overrides such as "++model.image_size=512"."""
    with _own_hydra(), initialize_config_dir(config_dir=str(folder), version_base=None):
        try:
            return compose(config_name=name, overrides=list(overrides))
        except (OverrideParseException, ConfigCompositionException) as error:
            raise ValueError(f"the configuration {name} has no such setting: {str(error).splitlines()[0]}") from error


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Set aside the one global hydra of a process, which the user's program or Meta's package may have set up."""
    others = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = others


def _compose(config_file: str | Path, overrides: list[str]) -> tuple[str, DictConfig]:
    """-> the name of the configuration, its content"""
    ours, path = resource_dir("configs"), Path(config_file)
    folder, name = ours, path.name.removesuffix(".yaml")
    if is_meta_config(path):
        name, settings = translate(path)
        overrides = [*settings, *overrides]
    elif path.is_file():
        folder = path.resolve().parent
        overrides = [f"hydra.searchpath=[file://{ours}]", *overrides]
    elif not (ours / f"{name}.yaml").is_file():
        raise FileNotFoundError(
            f"config_file {str(config_file)!r} is neither a file nor one of {', '.join(config_names())}"
        )
    config = compose_config(folder, name, overrides)
    if "model" not in config:
        raise ValueError(f"config_file {str(config_file)!r} has no `model:` section")
    return name, config


def _read_official_settings(model: DictConfig) -> bool:
    """Take the official settings that are no arguments of ours out of a `model:` section.

    -> whether the image encoder is to be compiled
    """
    with open_dict(model):
        decoder = model.pop("sam_mask_decoder_extra_args", None) or {}
        compiles = bool(model.pop("compile_image_encoder", False))
    for name, value in decoder.items():
        if name not in STABILITY or STABILITY[name] not in (None, value):
            known = ", ".join(f"{key}={'true or false' if only is None else only}" for key, only in STABILITY.items())
            raise ValueError(f"sam_mask_decoder_extra_args.{name}={value} must be one of {known}")
        if STABILITY[name] is None:
            model.stable_single_mask = bool(value)
    return compiles
