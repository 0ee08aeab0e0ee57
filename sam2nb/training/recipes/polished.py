"""The recipe of a last polish: the mask decoder alone, on features that are computed once.

The encoder stays frozen, so its features, a teacher's answers and exact masks of composed scenes are kept as lessons
(`sam2nb/training/data/lessons.py`). The decoder starts part of the way back to the teacher's. So that tracking stays as
it is, frames of clips are among the lessons, with the object pointers that the memory was trained with.

The start may be the mean of several runs' weights (arXiv 2203.05482); without phases that is all there is to do.

    python -m sam2nb train tiny_polished
    python -m sam2nb train nano_mean
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from tqdm.auto import tqdm

from sam2nb.build import build_sam2, load_model
from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.batches import generator
from sam2nb.training.data.cutouts import open_cutouts
from sam2nb.training.data.lessons import Lesson, clip_lessons, part_of, photo_lesson, scene_lesson, seen_by
from sam2nb.training.data.scenes import clip_of_scenes
from sam2nb.training.data.stock import MASK_SIDE, MAX_MASKS, Stock, new_stock
from sam2nb.training.data.teacher import read_view
from sam2nb.training.lesson_step import LessonStep
from sam2nb.training.loop import RunOptions, train
from sam2nb.training.phase import Phase
from sam2nb.training.recipes.distilled import PRECISIONS
from sam2nb.training.recipes.nano import is_held_out, list_photos
from sam2nb.weights.checkpoint import loaded_state
from sam2nb.weights.files import write_state_file

logger = logging.getLogger(__name__)

DECODER = "sam_mask_decoder."
OF_THE_ENCODER = ("conv_s0", "conv_s1")  # weights of the decoder's box that run once per image
VARIANTS = ((True, False), (False, True), (True, True), (False, False))  # of a photograph: (whole, mirrored)
KINDS = ("photos", "scenes", "clips")  # of lessons, as files are named and `batch` of a phase counts them


def run(recipe: Mapping[str, Any], *, stop_after: int | None = None, device: str | None = None) -> Path:
    """Make the lessons that are missing, then train, if there are phases; returns the checkpoint written at the end.

    stop_after: end after this many steps; the same call continues the run. device: as for `train`.
    """
    torch.set_num_threads(recipe["threads"])
    lessons = make_lessons(recipe) if recipe["phases"] else {}
    model = start_model(recipe)
    folder = Path(recipe["runs"]) / recipe["name"]
    options = {option.name: recipe[option.name] for option in dataclasses.fields(RunOptions)}
    average = train(
        LessonStep(model),
        [Phase(**settings) for settings in recipe["phases"]],
        LessonBatches(lessons),
        folder,
        RunOptions(**options),
        validate=lambda model, *_: save(model, folder, recipe),
        stop_after=stop_after,
        device=device,
    )
    start, trained = start_model(recipe).state_dict(), average.model.cpu()
    for name, tensor in trained.state_dict().items():
        tensor.lerp_(start[name], 1 - recipe["kept"])
    return save(trained, folder, recipe)


# --- lessons ----------------------------------------------------------------------------------------------------------


def make_lessons(recipe: Mapping[str, Any], held_out: bool = False) -> dict[str, list[Path]]:
    """Make the lessons that are not on disk yet -> their files by kind

    held_out: of photographs and cut-outs that are not trained on, in a folder of their own.
    """
    folder = Path(recipe["lesson_folder"]) / ("held_out" if held_out else "train")
    files = {
        kind: [folder / f"{kind}_{index:05d}.safetensors" for index in range(recipe["lesson_counts"][kind])]
        for kind in KINDS
    }
    if all(file.exists() for kind in KINDS for file in files[kind]):
        return files
    model = read_model(recipe["start"], recipe, mode="eval").requires_grad_(False)
    photos = photo_files(recipe, held_out)
    count = -(-len(files["photos"]) // len(VARIANTS))
    answers = teacher_answers(photos, count, recipe, held_out)
    for index, file in enumerate(tqdm(files["photos"], desc="photographs")):
        if not file.exists():
            whole, mirrored = VARIANTS[index // count]
            lesson = Lesson.load(answers[index % count])
            lesson = lesson if whole else part_of(generator(recipe["seed"], index, 3, held_out), lesson)
            seen_by(model, lesson, mirrored).save(file)
    stock = stock_of_lessons(photos, answers, recipe, held_out)
    for index, file in enumerate(tqdm(files["scenes"], desc="scenes")):
        if not file.exists():
            scene_lesson(generator(recipe["seed"], index, 1, held_out), model, stock).save(file)
    frames = recipe["frames"]
    for index in tqdm(range(0, len(files["clips"]), frames), desc="clips"):
        if not files["clips"][min(index + frames, len(files["clips"])) - 1].exists():
            rng = generator(recipe["seed"], index, 2, held_out)
            clip = clip_of_scenes(rng, stock, clips=1, frames=frames, side=model.image_size)
            for file, lesson in zip(files["clips"][index:], clip_lessons(model, clip), strict=False):
                lesson.save(file)
    return files


def photo_files(recipe: Mapping[str, Any], held_out: bool) -> list[Path]:
    """The photographs of `recipe["photos"]`, or of the sources, as far as they are (not) held out."""
    paths = sorted(Path(recipe["photos"]).iterdir()) if recipe["photos"] else list_photos(recipe)
    held = is_held_out(np.arange(len(paths)), recipe)
    return [path for path, is_held in zip(paths, held, strict=True) if is_held == held_out]


def teacher_answers(photos: list[Path], count: int, recipe: Mapping[str, Any], held_out: bool) -> list[Path]:
    """Files of the teacher's answers: whole photographs first, then parts. Recipes of all students share them."""
    folder = Path(recipe["answers"]) / ("held_out" if held_out else "train")
    files = [folder / f"{index:05d}.safetensors" for index in range(count)]
    if all(file.exists() for file in files):
        return files
    teacher = load_model(recipe["teacher"], "cpu", image_size=recipe["teacher_side"])
    for index, file in enumerate(tqdm(files, desc="teacher")):
        if file.exists():
            continue
        view, photo = divmod(index, len(photos))
        image = torch.tensor(read_view(photos[photo], recipe["teacher_side"], view)).permute(2, 0, 1)[None] / 255
        rng, precision = generator(recipe["seed"], index, 0), PRECISIONS[recipe["teacher_precision"]]
        side = recipe["answer_side"]
        photo_lesson(rng, teacher, image, side, recipe["clicks_per_side"], precision).save(file)
    return files


def stock_of_lessons(photos: list[Path], answers: list[Path], recipe: Mapping[str, Any], held_out: bool) -> Stock:
    """The photographs that the teacher was asked about, whole, with its masks, and cut-outs, to compose scenes of."""
    asked = list(zip(photos, answers, strict=False))
    views = np.stack([read_view(path, recipe["view_side"]) for path, _ in asked])
    cutouts = open_cutouts(Path(recipe["data"]) / "cutouts")
    stock = new_stock(
        views, cutouts.only(is_held_out(np.arange(len(cutouts)), recipe) == held_out), torch.device("cpu")
    )
    for index, (_, file) in enumerate(asked):
        masks = Lesson.load(file).truth[:MAX_MASKS]
        if len(masks):
            large = F.interpolate(masks[:, None], size=(MASK_SIDE, MASK_SIDE), mode="bilinear")[:, 0] > 0.5
            stock.masks[index, : len(masks)] = large
            stock.counts[index] = len(masks)
    return stock


class LessonBatches:
    """Takes as many lessons of every kind as the phase's `batch` says: {"photos": 2, "scenes": 1, "clips": 1}"""

    def __init__(self, files: Mapping[str, list[Path]]) -> None:
        self.files = files

    def __call__(self, rng: np.random.Generator, phase: Phase, step: int) -> tuple[Lesson, ...]:
        chosen = [
            self.files[kind][int(rng.integers(len(self.files[kind])))]
            for kind in KINDS
            for _ in range(phase.batch.get(kind, 0))
        ]
        return tuple(Lesson.load(file) for file in chosen)


# --- model ------------------------------------------------------------------------------------------------------------


def read_model(weights: str | Path | Sequence[str | Path], recipe: Mapping[str, Any], mode: str) -> SAM2:
    """A model of the recipe's configuration and input size with the weights of a file, or the mean of several."""
    size = f"++model.image_size={recipe['image_size']}"
    models = [
        build_sam2(recipe["model"], file, mode=mode, device="cpu", hydra_overrides_extra=[size], fast=False)
        for file in files_of(weights)
    ]
    others = [model.state_dict() for model in models[1:]]
    for name, tensor in models[0].state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.stack([tensor, *(other[name] for other in others)]).mean(0))
    return models[0]


def files_of(weights: str | Path | Sequence[str | Path]) -> list[str | Path]:
    """One file or several, as a list."""
    return [weights] if isinstance(weights, (str, Path)) else list(weights)


def start_model(recipe: Mapping[str, Any]) -> SAM2:
    """The model to train: its decoder is moved by `recipe["back"]` of the way towards the teacher's."""
    model = read_model(recipe["start"], recipe, mode="train")
    if not recipe["back"]:
        return model
    teacher = loaded_state(load_model(recipe["teacher"], device="cpu", fast=False))
    for name, tensor in model.state_dict().items():
        goal = teacher.get(name)
        if goal is not None and name.startswith(DECODER) and not any(part in name for part in OF_THE_ENCODER):
            tensor.lerp_(goal, recipe["back"])
    return model


def save(model: SAM2, folder: Path, recipe: Mapping[str, Any]) -> Path:
    """Write the weights as `folder/model.safetensors`, in the form of the (first) file that the run began with."""
    first = files_of(recipe["start"])[0]
    before = read_model(first, recipe, mode="eval").state_dict()
    with safe_open(first, "pt") as file:
        notes = file.metadata()
    state = load_file(first)
    for name, tensor in model.cpu().state_dict().items():
        if not torch.equal(tensor, before[name]):
            in_half = name not in state or any(part in name for part in recipe["in_half"])
            state[name] = tensor.to(torch.float16 if in_half else state[name].dtype)
    return write_state_file(folder / "model.safetensors", state, notes)
