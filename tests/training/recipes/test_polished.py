"""The polish of a decoder, at toy size: nano is its own teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sam2nb.build import build_sam2, checkpoint_and_file, load_model
from sam2nb.training.data.lessons import Lesson, mirror, new_lesson, part_of
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
    found = read_recipe("nano_polished") | {
        **toy_sources,
        "model": "sam2nb_nano",
        "answers": str(tmp_path / "answers"),
        "lesson_folder": str(tmp_path / "lessons"),
        "runs": str(tmp_path / "runs"),
        "teacher": "sam2nb_nano",
        "teacher_side": 128,
        "answer_side": 64,
        "view_side": 64,
        "image_size": 64,
        "teacher_precision": "no",
        "start": str(save_checkpoint(worse, tmp_path / "worse.safetensors")),
        "back": 0.0,
        "kept": 1.0,
        "in_half": [],
        "held_out": 3,
        "frames": 3,
        "lesson_counts": {"photos": 4, "scenes": 2, "clips": 4},
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


def test_a_start_of_several_files_is_their_mean_and_without_phases_that_is_all(recipe):
    files = [recipe["start"], str(checkpoint_and_file("sam2nb_nano")[1])]
    name = "sam_mask_decoder.mask_tokens.weight"
    one, other, mean = (polished.read_model(start, recipe, "eval").state_dict()[name] for start in (*files, files))
    assert torch.allclose(mean, (one + other) / 2)
    path = polished.run(recipe | {"start": files, "phases": [], "in_half": ["mask_tokens"]}, device="cpu")
    assert read_state_file(path).state[name].dtype == torch.float16
    assert not Path(recipe["lesson_folder"]).exists()
    assert torch.allclose(polished.read_model(path, recipe, "eval").state_dict()[name], mean, atol=1e-3)


def test_a_part_of_a_lesson_shows_its_objects_larger_and_a_mirrored_one_turns_round():
    truth = torch.zeros(2, 32, 32)
    truth[0, 12:20, 12:20] = 1  # in the middle, so that every part shows it
    features = load_model("sam2nb_nano", device="cpu", fast=False).encode_image(torch.zeros(1, 3, 128, 128))
    pixels = truth[:1, None].repeat_interleave(4, 2).repeat_interleave(4, 3).expand(1, 3, -1, -1)
    clicks, quality = torch.tensor([[0.5, 0.5], [0.99, 0.01]]), torch.ones(2, 3)
    answers = truth[:1, None].expand(2, 3, -1, -1)
    lesson = new_lesson(features, truth, clicks=clicks, quality=quality, answers=answers, pixels=pixels)
    part = part_of(np.random.default_rng(0), lesson)
    assert part.pixels.shape == lesson.pixels.shape
    assert len(part.truth) == 1  # the empty one is not in it
    assert part.truth.sum() > 1.3 * truth.sum()
    assert len(part.clicks) == len(part.answers) == len(part.quality)
    column, row = (part.clicks[0] * 32).long()
    assert part.truth[0, row, column] == part.pixels[0, 0, 4 * row, 4 * column] == 1
    assert torch.equal(mirror(part).truth, part.truth.flip(-1))
    assert torch.allclose(mirror(part).clicks[:, 0], 1 - part.clicks[:, 0])
