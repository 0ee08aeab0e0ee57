"""The recipe of sam2nb_nano: prepare the data, build the model on what can be inherited, run the phases.

`configs/train/nano.yaml` holds every number; the command is `python -m sam2nb train`.
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from sam2nb.build import build_sam2, compose_config, load_model
from sam2nb.model.sam2 import SAM2
from sam2nb.resources import resource_dir
from sam2nb.training.data.batches import clip_batch, generator, still_batch
from sam2nb.training.data.compose import Materials
from sam2nb.training.data.cutouts import collect_cutouts, collect_textures, open_cutouts
from sam2nb.training.data.sources import fetch_sources, list_files
from sam2nb.training.data.teacher import TEACHER_SIDE, LabelledPhotos, label_photos, open_labels
from sam2nb.training.loop import train
from sam2nb.training.recipes.warm_start import warm_start_memory
from sam2nb.training.run_log import RunLog
from sam2nb.training.step import TrainingStep
from sam2nb.training.validate import validate
from sam2nb.weights.checkpoint import save_checkpoint

logger = logging.getLogger(__name__)

CUTOUT_SHARES = {  # how often cut-outs of a source are drawn; photographic ones more often than drawn ones
    "tuxpaint-stamps-default": 0.45,
    "scratch": 0.2,
    "gcompris-qt-data": 0.1,
    "@lobehub/fluent-emoji-3d@1.1.0": 0.25,
}
INHERITED = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")
QUARTER_PRECISION = ("sam_mask_decoder.", "memory_attention.", "memory_encoder.")
NECK = "image_encoder.neck.convs."


def read_recipe(name: str = "nano", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """`configs/train/<name>.yaml` with hydra overrides such as "phases.0.steps=200" or "image_size=256"."""
    folder = resource_dir("configs") / "train"
    if not (folder / f"{name}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise ValueError(f"no training recipe {name!r}; there are: {known}")
    return OmegaConf.to_container(compose_config(folder, name, overrides), resolve=True)


def prepare(recipe: Mapping[str, Any], *, limit: int | None = None) -> None:
    """Fetch the sources, let the teacher label the photographs, collect cut-outs and textures. Goes on after a kill."""
    raw, data = Path(recipe["raw"]), Path(recipe["data"])
    fetch_sources(raw)
    if not (data / "cutouts" / "weights.npy").exists():
        found = [(path, CUTOUT_SHARES.get(source.name, 0.1)) for path, source in list_files(raw, "cutouts")]
        logger.info("%d cut-outs", collect_cutouts(found, data / "cutouts"))
    if not (data / "textures.npy").exists():
        paths = [path for path, _ in list_files(raw, "textures")]
        logger.info("%d textures", collect_textures(paths[::2], data / "textures.npy"))
    teacher = load_model(recipe["teacher"], image_size=TEACHER_SIDE)
    paths = [path for path, _ in list_files(raw, "photos")]
    random.Random(recipe["seed"]).shuffle(paths)
    label_photos(teacher, paths[:limit], data / "photos", views=recipe["views"])


def open_materials(recipe: Mapping[str, Any], *, held_out: bool = False) -> Materials:
    """What --prepare made, without the held-out photographs and cut-outs, or with these alone."""
    data = Path(recipe["data"])
    labels = open_labels(data / "photos")
    ready = labels.ready()
    chosen = ready[(ready // recipe["views"] % recipe["held_out"] == 0) == held_out]  # all views of a photograph
    cutouts = open_cutouts(data / "cutouts")
    cutouts = cutouts.only((np.arange(len(cutouts)) % recipe["held_out"] == 0) == held_out)
    return Materials(cutouts, labels, chosen, np.load(data / "textures.npy", mmap_mode="r"), **recipe["compose"])


def new_model(recipe: Mapping[str, Any]) -> SAM2:
    """A fresh model in training mode: random, but for what it inherits from the teacher."""
    torch.manual_seed(recipe["seed"])
    size = f"++model.image_size={recipe['image_size']}"
    model = build_sam2(recipe["model"], mode="train", device="cpu", hydra_overrides_extra=[size])
    if recipe.get("inherit"):
        inherit(model, load_model(recipe["teacher"], device="cpu").state_dict())
    return model


def inherit(model: SAM2, teacher: Mapping[str, Tensor]) -> list[str]:
    """Copy every tensor the teacher has in the same shape; returns the names.

    That is the prompt encoder, the mask decoder (without its object-score head, which image-only weights lack) and
    the first blocks of the trunk. The neck counts its layers from coarse to fine and the teacher has one stage more.
    """
    own = model.state_dict()
    more = len(teacher_stages(teacher)) - len(teacher_stages(own))
    copied = []
    with torch.no_grad():
        for name, tensor in own.items():
            theirs = teacher.get(_name_in_teacher(name, more))
            wanted = name.startswith(INHERITED) and "pred_obj_score_head" not in name
            if wanted and theirs is not None and theirs.shape == tensor.shape:
                tensor.copy_(theirs)
                copied.append(name)
    return copied


def teacher_stages(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the neck's layers, one per stage of the trunk."""
    return [name for name in state if name.startswith(NECK) and name.endswith("conv.weight")]


def _name_in_teacher(name: str, more: int) -> str:
    if not name.startswith(NECK):
        return name
    index, rest = name.removeprefix(NECK).split(".", 1)
    return f"{NECK}{int(index) + more}.{rest}"


def feature_scales(labels: LabelledPhotos, pictures: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    """Spread of every channel of the teacher's features: (256,), (32,), (64,)"""
    rows = labels.ready()[:pictures]
    return tuple(
        torch.from_numpy(np.asarray(array[rows], np.float32).std(axis=(0, 2, 3))).clamp(min=1e-3)
        for array in (labels.embedding, labels.high_res_0, labels.high_res_1)
    )


def run(recipe: Mapping[str, Any], *, stop_after: int | None = None, device: str | None = None) -> Path:
    """Train; returns the checkpoint written at the end (float16, the averaged weights)."""
    torch.set_num_threads(recipe["threads"])
    materials, held_out = open_materials(recipe), open_materials(recipe, held_out=True)
    step = TrainingStep(new_model(recipe), feature_scales(materials.labels))
    folder = Path(recipe["runs"]) / recipe["name"]

    def check(model: nn.Module, log: RunLog, phase: str, at: int) -> None:
        validate(model, held_out, log, phase, at)
        export(model, folder)

    def make_batch(rng: np.random.Generator, phase: Mapping[str, Any], at: int):
        wanted = dict(phase.get("stills_between", phase["batch"]) if at % 2 else phase["batch"])
        kind = clip_batch if "clips" in wanted else still_batch
        sides = phase.get("sides", [recipe["image_size"]])
        return kind(rng, materials, side=sides[at // 2 % len(sides)], **wanted)

    def begin_phase(model: SAM2, phase: Mapping[str, Any]) -> None:
        if phase.get("warm_start"):
            examples = [clip_batch(generator(recipe["seed"], n, 1), materials, clips=2, frames=1, side=model.image_size)
                        for n in range(phase["warm_start"])]  # fmt: skip
            pixels = torch.cat([batch.pixels[0][batch.clip] for batch in examples])
            model.eval()
            warm_start_memory(model, pixels, torch.cat([batch.first_masks for batch in examples]))

    average = train(
        step, recipe["phases"], make_batch, folder, seed=recipe["seed"], ema=recipe["ema"], device=device,
        clip_gradient=recipe["clip_gradient"], weight_decay=recipe["weight_decay"], save_minutes=recipe["save_minutes"],
        mixed_precision=recipe["mixed_precision"], validate=check, validate_every=recipe["validate_every"],
        stop_after=stop_after, begin_phase=begin_phase,
        workers=recipe["workers"],
    )  # fmt: skip
    return export(average.model, folder)


def export(model: nn.Module, folder: Path) -> Path:
    """Write the weights as a checkpoint under official names.

    Half precision, and a quarter (float8) for the large matrices of decoder and memory: their values tolerate it.
    """
    small = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            quarter = name.startswith(QUARTER_PRECISION) and parameter.ndim >= 2 and parameter.numel() >= 2**14
            parameter.data = parameter.data.to(torch.float8_e4m3fn if quarter else torch.float16)
    return save_checkpoint(small, folder / "model.safetensors")
