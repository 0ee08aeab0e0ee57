"""The recipe of distilled models: sam2nb_tiny, and nano once more.

First the image path imitates a teacher that sees the same crops larger, then the memory learns from clips while crops
go on in between. `configs/train/tiny.yaml` and `nano_distilled.yaml` hold every number; the command is
`python -m sam2nb train tiny`.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam2nb.build import build_sam2, load_model
from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.batches import ClipBatch, generator
from sam2nb.training.data.cutouts import open_cutouts
from sam2nb.training.data.scenes import clip_of_scenes
from sam2nb.training.data.stock import Stock, label, new_stock, read_views
from sam2nb.training.distillation import CropBatch, DistillationStep, crops_of_scenes, spread_of_features
from sam2nb.training.loop import RunOptions, make_accelerator, train
from sam2nb.training.low_rank import add_low_rank_updates, merge_low_rank_updates
from sam2nb.training.phase import Phase
from sam2nb.training.recipes.nano import inherit, is_held_out, list_photos
from sam2nb.training.recipes.warm_start import warm_start_memory
from sam2nb.weights.compact import compact
from sam2nb.weights.download import download
from sam2nb.weights.files import read_state_file, write_state_file
from sam2nb.weights.update import UPDATE_OF, make_update

logger = logging.getLogger(__name__)

PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LABELS = "labels.npz"  # the teacher's masks of the views, kept beside the run
SPREAD_CROPS = 8  # crops over which the spread of the teacher's features is measured


def run(recipe: Mapping[str, Any], *, stop_after: int | None = None, device: str | None = None) -> Path:
    """Train; returns the checkpoint written at the end, with the averaged weights.

    stop_after: end after this many steps; the same call continues the run. device: as for `train`.
    """
    torch.set_num_threads(recipe["threads"])
    folder = Path(recipe["runs"]) / recipe["name"]
    views = read_views(training_photos(recipe), recipe["views"], recipe["view_side"], recipe["workers"])
    place = make_accelerator(recipe["mixed_precision"], device).device
    if place.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)  # it plans every new shape anew, which takes longer than a step
        torch.set_float32_matmul_precision("high")
    teacher = load_model(recipe["teacher"], device=place, image_size=recipe["teacher_side"], fast=place.type == "cpu")
    stock = labelled_stock(recipe, views, teacher, place)
    model = start_model(recipe)
    make_batch = SceneBatches(stock, recipe["teacher_side"], recipe["image_size"])
    crops = make_batch.crops(generator(recipe["seed"], 0, 1), recipe["image_size"], SPREAD_CROPS, 1)
    step = DistillationStep(model, teacher, spread_of_features(teacher, crops.pixels))

    def begin_phase(model: SAM2, phase: Phase) -> None:
        warm_start(model, phase, stock, recipe)

    options = {option.name: recipe[option.name] for option in dataclasses.fields(RunOptions)} | {"workers": 0}
    phases = [Phase(**settings) for settings in recipe["phases"]]
    average = train(
        step,
        phases,
        make_batch,
        folder,
        RunOptions(**options),
        validate=lambda model, *_: save_small(model, folder, recipe),
        begin_phase=begin_phase,
        stop_after=stop_after,
        device=device,
    )
    return save_small(average.model, folder, recipe)


def training_photos(recipe: Mapping[str, Any]) -> list[Path]:
    """The photographs to train on: those of the sources that are not held out, or the files of `recipe["photos"]`."""
    if recipe["photos"]:
        return sorted(Path(recipe["photos"]).iterdir())
    paths = list_photos(recipe)
    held_out = is_held_out(np.arange(len(paths)), recipe)
    return [path for path, held in zip(paths, held_out, strict=True) if not held]


def labelled_stock(recipe: Mapping[str, Any], views: np.ndarray, teacher: SAM2, device: torch.device) -> Stock:
    """The stock with the teacher's masks, which are made once and kept in the folder of the prepared data."""
    cutouts = open_cutouts(Path(recipe["data"]) / "cutouts")
    stock = new_stock(views, cutouts.only(~is_held_out(np.arange(len(cutouts)), recipe)), device)
    file = Path(recipe["data"]) / LABELS
    if file.exists():
        kept = np.load(file)
        if len(kept["counts"]) != len(views):
            raise ValueError(f"{file} was made from other photographs; delete it")
        masks = torch.from_numpy(np.unpackbits(kept["masks"], axis=-1).astype(bool)).reshape(stock.masks.shape)
        return dataclasses.replace(stock, masks=masks.to(device), counts=kept["counts"])
    logger.info("labelling %d views", len(views))
    stock = label(stock, teacher, PRECISIONS[recipe["mixed_precision"]])
    partial = file.with_name("partial-" + LABELS)
    packed = np.packbits(stock.masks.cpu().numpy().reshape(len(views), -1), axis=-1)
    np.savez(partial, masks=packed, counts=stock.counts)
    os.replace(partial, file)
    return stock


def start_model(recipe: Mapping[str, Any]) -> SAM2:
    """The model to train: what it can inherit from the teacher, or trained weights to go on from."""
    torch.manual_seed(recipe["seed"])
    size = f"++model.image_size={recipe['image_size']}"
    weights = recipe["start"] or None
    model = build_sam2(recipe["model"], weights, mode="train", device="cpu", hydra_overrides_extra=[size], fast=False)
    if not weights:
        inherit(model, load_model(recipe["teacher"], device="cpu", fast=False).state_dict())
    if recipe["low_rank"]:
        add_low_rank_updates(model.image_encoder.trunk, recipe["low_rank"])
    return model


class SceneBatches:
    """Makes the batch of a step: crops or clips, of the sizes that the phase names in turn."""

    def __init__(self, stock: Stock, teacher_side: int, image_size: int) -> None:
        self.stock, self.teacher_side, self.image_size = stock, teacher_side, image_size

    def __call__(self, rng: np.random.Generator, phase: Phase, step: int) -> CropBatch | ClipBatch:
        stills = phase.stills_between and step % phase.stills_every == 1
        contents = phase.stills_between if stills else phase.batch
        sides = phase.sides or [self.image_size]
        side = sides[step // 2 % len(sides)]
        if "clips" in contents:
            return clip_of_scenes(rng, self.stock, side=side, **contents)
        return self.crops(rng, side, **contents)

    def crops(self, rng: np.random.Generator, side: int, crops: int, clicks: int) -> CropBatch:
        """Crops for a student of this input size."""
        return crops_of_scenes(rng, self.stock, crops=crops, clicks=clicks, teacher_side=self.teacher_side, side=side)


def warm_start(model: SAM2, phase: Phase, stock: Stock, recipe: Mapping[str, Any]) -> None:
    """Initialise the memory parts on composed frames, if the phase asks for it."""
    if not phase.warm_start:
        return
    examples = clip_of_scenes(
        generator(recipe["seed"], 0, 2), stock, clips=phase.warm_start, frames=1, side=model.image_size, objects=2
    )
    device = model.device
    model.cpu().eval()
    warm_start_memory(model, examples.pixels[0][examples.clip_index].cpu(), examples.first_masks.cpu())
    model.to(device)


def save_small(model: SAM2, folder: Path, recipe: Mapping[str, Any]) -> Path:
    """Write the weights as a small checkpoint, `folder/model.safetensors`: an update, if the trunk is corrected."""
    merged = copy.deepcopy(model).cpu()
    merge_low_rank_updates(merged)
    state, notes = merged.state_dict(), {"config": recipe["model"]}
    if recipe["low_rank"]:
        base = read_state_file(download(recipe["teacher"])).state
        state, notes = make_update(state, base, recipe["low_rank"]), notes | {UPDATE_OF: recipe["teacher"]}
    return write_state_file(folder / "model.safetensors", compact(state), notes)
