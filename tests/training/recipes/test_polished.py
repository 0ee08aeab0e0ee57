"""The polish of a decoder, at toy size: nano is its own teacher."""

import numpy as np
import pytest
import torch

from sam2nb.build import build_sam2, load_model
from sam2nb.training.data.lessons import Lesson
from sam2nb.training.lesson_step import LessonStep
from sam2nb.training.losses import total
from sam2nb.training.phase import Phase
from sam2nb.training.recipes import polished
from sam2nb.training.recipes.nano import read_recipe
from sam2nb.weights.checkpoint import save_checkpoint
from sam2nb.weights.files import read_state_file


@pytest.fixture
def recipe(toy_sources, tmp_path):
    worse = load_model("sam2nb_nano", device="cpu", fast=False)
    with torch.no_grad():
        for token in (worse.sam_mask_decoder.mask_tokens, worse.sam_mask_decoder.iou_token):
            token.weight.mul_(0.5)
    found = read_recipe("tiny_polished") | {
        **toy_sources,
        "model": "sam2nb_nano",
        "lesson_folder": str(tmp_path / "lessons"),
        "runs": str(tmp_path / "runs"),
        "teacher": "sam2nb_nano",
        "teacher_side": 128,
        "view_side": 64,
        "image_size": 64,
        "teacher_precision": "no",
        "start": str(save_checkpoint(worse, tmp_path / "worse.safetensors")),
        "back": 0.0,
        "kept": 1.0,
        "held_out": 3,
        "frames": 3,
        "lesson_counts": {"photos": 3, "scenes": 2, "clips": 4},
    }
    found["phases"][0] |= {"steps": 25, "minutes": 0, "warmup": 1, "rates": {"sam_mask_decoder": 1e-3}}
    return found


@pytest.mark.slow
def test_a_polished_decoder_answers_its_lessons_better_and_the_rest_stays(recipe):
    path = polished.run(recipe, device="cpu")
    lessons = [Lesson.load(file) for files in polished.make_lessons(recipe).values() for file in files]
    phase = Phase("check", 1, {"": 1.0})

    def loss(model) -> float:
        with torch.no_grad():
            step = LessonStep(model)
            return float(np.mean([total(step(lessons, np.random.default_rng(seed), phase)) for seed in range(3)]))

    assert loss(polished.read_model(path, recipe, "train")) < 0.8 * loss(polished.start_model(recipe))
    before, after = (read_state_file(file).state for file in (recipe["start"], path))
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("sam_mask_decoder.") for name in changed)
    assert {name: tensor.dtype for name, tensor in after.items()} == {n: t.dtype for n, t in before.items()}


def test_lessons_are_of_three_kinds_and_are_made_once(recipe):
    files = polished.make_lessons(recipe, held_out=True)
    photo, scene, first, later = (
        Lesson.load(files[kind][index]) for kind, index in (("photos", 0), ("scenes", 0), ("clips", 0), ("clips", 1))
    )
    assert photo.answers.shape == (16, 3, 16, 16)
    assert photo.side == 64
    assert len(scene.truth) >= 1
    assert not len(scene.clicks)
    assert len(first.mask_prompts) == len(first.pointers) == len(first.truth)
    assert later.remembers.all()
    assert len(later.embedding) == len(later.pointers)
    made = {file: file.stat().st_mtime_ns for kind in files.values() for file in kind}
    assert polished.make_lessons(recipe, held_out=True) == files
    assert {file: file.stat().st_mtime_ns for file in made} == made
    assert all("held_out" in str(file) for file in made)


def test_the_decoder_starts_part_of_the_way_back(recipe):
    start = polished.start_model(recipe | {"back": 0.5}).state_dict()
    worse = build_sam2("sam2nb_nano", recipe["start"], "cpu", fast=False).state_dict()
    better = load_model("sam2nb_nano", device="cpu", fast=False).state_dict()
    name = "sam_mask_decoder.mask_tokens.weight"
    assert torch.allclose(start[name], (worse[name] + better[name]) / 2)
    assert torch.equal(start["no_mem_embed"], worse["no_mem_embed"])
