"""The recipe of sam2nb_nano: prepare the data, build the model, run the phases.

The model starts from what it can inherit from its teacher. `configs/train/nano.yaml` holds every number; the command
is `python -m sam2nb train`.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor, nn

from sam2nb.build import build_sam2, compose_config, load_model
from sam2nb.model.sam2 import SAM2
from sam2nb.resources import resource_dir
from sam2nb.training.data.batches import ClipBatch, StillBatch, clip_batch, generator, still_batch
from sam2nb.training.data.compose import Materials
from sam2nb.training.data.cutouts import collect_cutouts, collect_textures, open_cutouts
from sam2nb.training.data.sources import fetch_sources, list_files
from sam2nb.training.data.teacher import TEACHER_SIDE, LabelledPhotos, label_photos, open_labels
from sam2nb.training.loop import RunOptions, train
from sam2nb.training.phase import Phase
from sam2nb.training.recipes.warm_start import warm_start_memory
from sam2nb.training.run_log import RunLog
from sam2nb.training.step import TrainingStep
from sam2nb.training.validate import validate
from sam2nb.weights.compact import compact
from sam2nb.weights.files import write_state_file

logger = logging.getLogger(__name__)

CUTOUT_SHARES = {  # how often a source's cut-outs are chosen; photographic ones more often than drawn ones
    "tuxpaint-stamps-default": 0.45,
    "scratch": 0.2,
    "gcompris-qt-data": 0.1,
    "@lobehub/fluent-emoji-3d@1.1.0": 0.25,
}
OTHER_SHARE = 0.1  # of a source that the table does not name
INHERITED = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")
NECK = "image_encoder.neck.convs."
SCALE_PHOTOS = 48  # enough to estimate the spread of the teacher's features


def read_recipe(name: str = "nano", overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """`configs/train/<name>.yaml` with hydra overrides such as "phases.0.steps=200" or "image_size=256".

    Raises ValueError for an unknown name.
    """
    folder = resource_dir("configs") / "train"
    if not (folder / f"{name}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise ValueError(f"no training recipe {name!r}; there are: {known}")
    return OmegaConf.to_container(compose_config(folder, name, overrides), resolve=True)


def prepare(recipe: Mapping[str, Any], *, limit: int | None = None) -> None:
    """Fetch the sources, let the teacher label the photographs, collect cut-outs and textures.

    Whatever is there already is kept, so an interrupted preparation continues. limit: label this many photographs only.
    """
    prepare_cutouts(recipe)
    raw, data = Path(recipe["raw"]), Path(recipe["data"])
    if not (data / "textures.npy").exists():
        paths = [path for path, _ in list_files(raw, "textures")]
        logger.info("%d textures", collect_textures(paths[::2], data / "textures.npy"))
    teacher = load_model(recipe["teacher"], image_size=TEACHER_SIDE)
    label_photos(teacher, list_photos(recipe)[:limit], data / "photos", views=recipe["views"])


def prepare_cutouts(recipe: Mapping[str, Any]) -> None:
    """Fetch the sources and collect the cut-outs, as far as they are not there already."""
    raw, data = Path(recipe["raw"]), Path(recipe["data"])
    fetch_sources(raw)
    if not (data / "cutouts" / "weights.npy").exists():
        found = [(path, CUTOUT_SHARES.get(source.name, OTHER_SHARE)) for path, source in list_files(raw, "cutouts")]
        logger.info("%d cut-outs", collect_cutouts(found, data / "cutouts"))


def list_photos(recipe: Mapping[str, Any]) -> list[Path]:
    """The photographs of all sources, in the shuffled order that decides which ones are held out."""
    paths = [path for path, _ in list_files(Path(recipe["raw"]), "photos")]
    random.Random(recipe["seed"]).shuffle(paths)
    return paths


def is_held_out(index: NDArray[np.int64], recipe: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which photographs or cut-outs, by their index, are for validation and the sample in data/ only: (N,) -> (N,)"""
    return index % recipe["held_out"] == 0


def open_materials(recipe: Mapping[str, Any], *, held_out: bool = False) -> Materials:
    """The prepared data, without the held-out photographs and cut-outs, or these alone."""
    data = Path(recipe["data"])
    labels = open_labels(data / "photos")
    ready = labels.ready()
    photos = ready[is_held_out(ready // recipe["views"], recipe) == held_out]  # all views of a photograph together
    cutouts = open_cutouts(data / "cutouts")
    cutouts = cutouts.only(is_held_out(np.arange(len(cutouts)), recipe) == held_out)
    return Materials(cutouts, labels, photos, np.load(data / "textures.npy", mmap_mode="r"), **recipe["compose"])


def new_model(recipe: Mapping[str, Any]) -> SAM2:
    """A new model in training mode, random except for what it inherits from the teacher."""
    torch.manual_seed(recipe["seed"])
    size = f"++model.image_size={recipe['image_size']}"
    model = build_sam2(recipe["model"], mode="train", device="cpu", hydra_overrides_extra=[size])
    if recipe.get("inherit"):
        inherit(model, load_model(recipe["teacher"], device="cpu").state_dict())
    return model


def inherit(model: SAM2, teacher: Mapping[str, Tensor]) -> list[str]:
    """Copy every tensor the teacher has in the same shape; returns the names.

    These are the prompt encoder, the mask decoder (without its object-score head, which image-only weights lack) and
    the first blocks of the trunk. The neck counts its layers from coarse to fine, and the teacher has one stage more.
    """
    own = model.state_dict()
    extra_stages = len(neck_layers(teacher)) - len(neck_layers(own))
    copied = []
    with torch.no_grad():
        for name, tensor in own.items():
            inherited = teacher.get(_name_in_teacher(name, extra_stages))
            wanted = name.startswith(INHERITED) and "pred_obj_score_head" not in name
            if wanted and inherited is not None and inherited.shape == tensor.shape:
                tensor.copy_(inherited)
                copied.append(name)
    return copied


def neck_layers(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the neck's layers, one per stage of the trunk."""
    return [name for name in state if name.startswith(NECK) and name.endswith("conv.weight")]


def _name_in_teacher(name: str, extra_stages: int) -> str:
    if not name.startswith(NECK):
        return name
    index, rest = name.removeprefix(NECK).split(".", 1)
    return f"{NECK}{int(index) + extra_stages}.{rest}"


def feature_scales(labels: LabelledPhotos) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviation of every channel of the teacher's features: (256,), (32,), (64,)"""
    rows = labels.ready()[:SCALE_PHOTOS]
    return tuple(
        torch.from_numpy(np.asarray(array[rows], np.float32).std(axis=(0, 2, 3))).clamp(min=1e-3)
        for array in (labels.embedding, labels.high_res_0, labels.high_res_1)
    )


@dataclass(frozen=True)
class RecipeBatches:
    """The batch of each step, as its phase says: stills and clips alternate, and so do the input sizes."""

    materials: Materials
    image_size: int

    def __call__(self, rng: np.random.Generator, phase: Phase, step: int) -> StillBatch | ClipBatch:
        stills = phase.stills_between and step % phase.stills_every == 1
        contents = phase.stills_between if stills else phase.batch
        make = clip_batch if "clips" in contents else still_batch
        sides = phase.sides or [self.image_size]
        return make(rng, self.materials, side=sides[step // 2 % len(sides)], **contents)


def warm_start(model: SAM2, phase: Phase, materials: Materials, seed: int) -> None:
    """Initialise the memory parts on composed first frames, if the phase asks for it."""
    if not phase.warm_start:
        return
    examples = [
        clip_batch(generator(seed, index, 1), materials, clips=2, frames=1, side=model.image_size)
        for index in range(phase.warm_start)
    ]
    pixels = torch.cat([batch.pixels[0][batch.clip_index] for batch in examples])
    model.eval()
    warm_start_memory(model, pixels, torch.cat([batch.first_masks for batch in examples]))


def run(recipe: Mapping[str, Any], *, stop_after: int | None = None, device: str | None = None) -> Path:
    """Train; returns the checkpoint written at the end, with the averaged weights.

    stop_after: end after this many steps; the same call continues the run. device: as for `train`.
    """
    torch.set_num_threads(recipe["threads"])
    materials, held_out = open_materials(recipe), open_materials(recipe, held_out=True)
    folder = Path(recipe["runs"]) / recipe["name"]

    def begin_phase(model: SAM2, phase: Phase) -> None:
        warm_start(model, phase, materials, recipe["seed"])

    def check(model: SAM2, log: RunLog, phase: Phase, step: int) -> None:
        validate(model, held_out, log, phase, step)
        save_compact(model, folder)

    average = train(
        TrainingStep(new_model(recipe), feature_scales(materials.labels)),
        [Phase(**settings) for settings in recipe["phases"]],
        RecipeBatches(materials, recipe["image_size"]),
        folder,
        RunOptions(**{option.name: recipe[option.name] for option in dataclasses.fields(RunOptions)}),
        validate=check,
        begin_phase=begin_phase,
        stop_after=stop_after,
        device=device,
    )
    return save_compact(average.model, folder)


def save_compact(model: nn.Module, folder: Path) -> Path:
    """Write the weights as a small checkpoint, `folder/model.safetensors`, under official names."""
    notes = {"config": model.config_name} if model.config_name else {}
    return write_state_file(folder / "model.safetensors", compact(model.state_dict()), notes)
