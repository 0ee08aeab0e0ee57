"""The distilled recipes, at toy size: nano as teacher at 128, a student at 64, three photographs."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from sam2nb.build import build_sam2, load_model
from sam2nb.training.distillation import CropBatch, DistillationStep
from sam2nb.training.phase import Phase
from sam2nb.training.recipes import distilled
from sam2nb.training.recipes.nano import read_recipe
from sam2nb.weights.checkpoint import save_checkpoint
from sam2nb.weights.files import read_state_file
from sam2nb.weights.update import UPDATE_OF

CROPS, CLIPS = {"crops": 2, "clicks": 4}, {"clips": 1, "frames": 3}


@pytest.fixture
def recipe(tmp_path, toy_sources):
    """A recipe over three striped photographs and a round cut-out."""

    def make(name: str, steps: tuple[int, int], **changes) -> dict:
        found = read_recipe(name) | {
            **toy_sources,
            "runs": str(tmp_path / "runs"),
            "teacher": "sam2nb_nano",
            "teacher_side": 128,
            "view_side": 128,
            "image_size": 64,
            "mixed_precision": "no",
            "threads": 1,
            "workers": 0,
            "start": "",
        }
        for phase, count in zip(found["phases"], steps, strict=True):
            phase |= {"steps": count, "minutes": 0, "warmup": 1, "sides": []}
            phase["batch"] = CLIPS if "clips" in phase["batch"] else CROPS
            if "stills_between" in phase:
                phase["stills_between"] = CROPS
            if phase.get("warm_start"):
                phase["warm_start"] = 12
        return found | changes

    return make


@pytest.mark.slow
def test_a_student_learns_the_answers_of_its_teacher(recipe, tmp_path, monkeypatch):
    """The same crop at every step: what is learned about it must show in the losses on it."""
    teacher = load_model("sam2nb_nano", device="cpu", image_size=128)
    worse = copy.deepcopy(teacher)
    with torch.no_grad():
        for layer in worse.image_encoder.neck.convs:
            layer.conv.weight.mul_(0.3)
    settings = recipe("nano_distilled", (25, 1), start=str(save_checkpoint(worse, tmp_path / "worse.safetensors")))
    settings["phases"][0]["rates"] = {"neck.convs": 3e-3}
    crops = []

    def same_crops(self, rng, phase, step):
        if not crops:
            crops.append(self.crops(np.random.default_rng(5), 64, 4, 6))
        return crops[0]

    monkeypatch.setattr(distilled.SceneBatches, "__call__", same_crops)
    path = distilled.run(settings, device="cpu")

    def loss(model) -> float:
        with torch.no_grad():
            step = DistillationStep(model, teacher)
            losses = [step(crops[0], np.random.default_rng(seed), Phase("check", 1, {"": 1.0})) for seed in range(6)]
        return float(np.mean([20 * found["focal"] + found["dice"] for found in losses]))

    trained = build_sam2("sam2nb_nano", path, "cpu", hydra_overrides_extra=["++model.image_size=64"])
    assert loss(trained) < 0.9 * loss(distilled.start_model(settings))


@pytest.mark.slow
def test_a_corrected_trunk_is_stored_as_an_update_of_its_teacher(recipe):
    settings = recipe("tiny", (2, 2), model="sam2nb_nano", low_rank=2)
    file = distilled.run(settings, device="cpu")
    content = read_state_file(file)
    assert content.metadata[UPDATE_OF] == "sam2nb_nano"
    whole = load_model("sam2nb_nano", device="cpu").state_dict()
    assert set(content.state) == set(whole)
    name = "image_encoder.trunk.blocks.3.mlp.layers.0.weight"
    correction = content.state[name] - whole[name]
    assert 0 < torch.linalg.matrix_rank(correction, rtol=1e-3) <= 2
    assert file.stat().st_size < 16e6


def test_batches_alternate_as_the_phase_says(recipe):
    stock = distilled.new_stock(
        np.zeros((1, 32, 32, 3), np.uint8), distilled.open_cutouts(recipe("tiny", (1, 1))["data"] + "/cutouts"), "cpu"
    )
    batches = distilled.SceneBatches(stock, 64, 32)
    phase = Phase("remember", 8, {"": 1.0}, batch=CLIPS, stills_between=CROPS, stills_every=4)
    kinds = [isinstance(batches(np.random.default_rng(step), phase, step), CropBatch) for step in range(8)]
    assert kinds == [False, True, False, False, False, True, False, False]
    wide = dataclasses.replace(phase, sides=(32, 64))
    assert [batches(np.random.default_rng(0), wide, step).pixels.shape[-1] for step in (0, 2)] == [32, 64]
