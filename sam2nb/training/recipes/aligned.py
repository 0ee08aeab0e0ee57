"""The recipe of `train --teacher NAME`: a small encoder in place of a large one.

The student has the teacher's prompt encoder, decoder and memory, which are frozen, and Meta's tiny trunk. Trunk and
neck learn to give the teacher's three maps of the same crops, so that all the rest can be used as it was trained. The
teacher sees the crops at its own input size, the student at a smaller one.

    python -m sam2nb train --teacher sam2.1_hiera_large
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.build import build_sam2, load_model
from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.batches import generator
from sam2nb.training.data.cutouts import open_cutouts
from sam2nb.training.data.stock import Stock, new_stock, read_views
from sam2nb.training.distillation import CropBatch, DistillationStep, pooled_like, spread_of_features
from sam2nb.training.loop import RunOptions, make_accelerator, train
from sam2nb.training.phase import Phase
from sam2nb.training.recipes.distilled import SPREAD_CROPS, SceneBatches, training_photos
from sam2nb.training.recipes.nano import is_held_out
from sam2nb.weights.checkpoint import require_video_weights
from sam2nb.weights.files import write_state_file
from sam2nb.weights.registry import config_of, find_checkpoint

ENCODER = "image_encoder."


def run(recipe: Mapping[str, Any], *, stop_after: int | None = None, device: str | None = None) -> Path:
    """Train; returns the checkpoint written at the end, which holds all parts of the student.

    stop_after: end after this many steps; the same call continues the run. device: as for `train`.
    """
    torch.set_num_threads(recipe["threads"])
    place = make_accelerator(recipe["mixed_precision"], device).device
    teacher = load_model(recipe["teacher"], place, image_size=recipe["teacher_side"], fast=False)
    student = start_student(recipe, teacher)
    make_batch = SceneBatches(stock_of(recipe, place), teacher.image_size, student.image_size)
    crops = make_batch.crops(generator(recipe["seed"], 0, 1), student.image_size, SPREAD_CROPS, 1)
    folder = Path(recipe["runs"]) / f"{recipe['name']}_{recipe['teacher']}"
    options = {option.name: recipe[option.name] for option in dataclasses.fields(RunOptions)} | {"workers": 0}
    average = train(
        AlignmentStep(student, teacher, spread_of_features(teacher, crops.pixels)),
        [Phase(**settings) for settings in recipe["phases"]],
        make_batch,
        folder,
        RunOptions(**options),
        validate=lambda model, *_: save(model, folder, recipe),
        stop_after=stop_after,
        device=device,
        settings={"teacher": recipe["teacher"], "image_size": recipe["image_size"]},
    )
    return save(average.model, folder, recipe)


def stock_of(recipe: Mapping[str, Any], device: torch.device) -> Stock:
    """Photographs and cut-outs to compose crops of; nothing needs to be labelled."""
    views = read_views(training_photos(recipe), recipe["views"], recipe["view_side"], recipe["workers"])
    cutouts = open_cutouts(Path(recipe["data"]) / "cutouts")
    return new_stock(views, cutouts.only(~is_held_out(np.arange(len(cutouts)), recipe)), device)


class AlignmentStep(DistillationStep):
    """The distance of the student's three maps from the teacher's, on the same crops."""

    def forward(self, batch: CropBatch, rng: np.random.Generator, phase: Phase) -> dict[str, Tensor]:
        """-> {"features": scalar}"""
        with torch.no_grad():
            wanted = self.teachers[0].encode_image(batch.pixels)
        features = self.model.encode_image(F.adaptive_avg_pool2d(batch.pixels, batch.side))
        return {"features": self.distance(features, pooled_like(features, wanted))}


def start_student(recipe: Mapping[str, Any], teacher: SAM2) -> SAM2:
    """The teacher with another encoder, whose weights start from those of `recipe["start"]`, as far as they fit.

    Raises ValueError if the teacher has no video weights.
    """
    require_video_weights(teacher)
    torch.manual_seed(recipe["seed"])
    size = f"++model.image_size={recipe['image_size']}"
    config = student_config(recipe["teacher"])
    student = build_sam2(config, mode="train", device="cpu", hydra_overrides_extra=[size], fast=False)
    start, frozen = load_model(recipe["start"], "cpu", fast=False).state_dict(), teacher.state_dict()
    for name, tensor in student.state_dict().items():
        source = start.get(name) if name.startswith(ENCODER) else frozen[name]
        if source is not None and source.shape == tensor.shape:
            tensor.copy_(source)
    return student


def student_config(teacher: str) -> str:
    """The configuration with the tiny trunk and the teacher's other parts; for one of our own models, its own."""
    found = find_checkpoint(teacher)
    return config_of(found.generation, "tiny") if found.url else found.config


def save(model: SAM2, folder: Path, recipe: Mapping[str, Any]) -> Path:
    """Write all weights in half precision as `folder/model.safetensors`."""
    state = {name: tensor.cpu().half() for name, tensor in model.state_dict().items()}
    return write_state_file(folder / "model.safetensors", state, {"config": student_config(recipe["teacher"])})
