"""`train --teacher`, on random weights: the plumbing, not the quality."""

import numpy as np
import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.training.distillation import crops_of_scenes
from sam2nb.training.recipes import aligned
from sam2nb.training.recipes.nano import read_recipe
from sam2nb.weights.files import read_state_file

TEACHER, START = "sam2.1_hiera_small", "sam2_hiera_tiny"


@pytest.fixture
def recipe(toy_sources, tmp_path):
    found = read_recipe("aligned", (f"teacher={TEACHER}",)) | {
        **toy_sources,
        "runs": str(tmp_path / "runs"),
        "teacher_side": 128,
        "view_side": 64,
        "image_size": 64,
        "mixed_precision": "no",
        "threads": 1,
        "workers": 0,
        "views": 1,
    }
    found["phases"][0] |= {"steps": 8, "warmup": 1, "batch": {"crops": 2, "clicks": 1}}
    return found


@pytest.fixture
def random_weights(monkeypatch):
    """No checkpoint is on disk: the official architectures with random weights in their place."""
    configs = {TEACHER: "sam2.1_hiera_s", START: "sam2_hiera_t"}

    def load_model(name, device=None, image_size=128, fast=True):
        torch.manual_seed(1)
        size = f"++model.image_size={image_size}"
        return build_sam2(configs[name], device=device, hydra_overrides_extra=[size], fast=False)

    monkeypatch.setattr(aligned, "load_model", load_model)
    return load_model


@pytest.mark.slow
def test_the_encoder_learns_the_maps_of_its_teacher_and_nothing_else_changes(recipe, random_weights):
    teacher = random_weights(TEACHER, "cpu", 128)
    before = aligned.start_student(recipe, teacher)
    file = aligned.run(recipe, device="cpu")
    content = read_state_file(file)
    assert content.metadata["config"] == "sam2.1_hiera_t"
    trained = build_sam2("sam2.1_hiera_t", file, "cpu", hydra_overrides_extra=["++model.image_size=64"], fast=False)
    for name, tensor in teacher.state_dict().items():
        if not name.startswith("image_encoder."):
            assert torch.equal(trained.state_dict()[name], tensor.half().float()), name
    rng = np.random.default_rng(3)
    stock = aligned.stock_of(recipe, torch.device("cpu"))
    crops = crops_of_scenes(rng, stock, crops=4, clicks=1, teacher_side=128, side=64)

    def distance(student) -> float:
        with torch.no_grad():
            return float(aligned.AlignmentStep(student.eval(), teacher)(crops, rng, None)["features"])

    assert distance(trained) < 0.95 * distance(before)


def test_a_teacher_without_memory_is_refused(recipe, small_model):
    image_only = small_model("eval")
    image_only.missing_parts = ("memory_attention",)
    with pytest.raises(ValueError, match="no learned memory"):
        aligned.start_student(recipe, image_only)


def test_the_student_is_of_the_generation_of_its_teacher():
    assert aligned.student_config("sam2_hiera_large") == "sam2_hiera_t"
    assert aligned.student_config("facebook/sam2.1-hiera-base-plus") == "sam2.1_hiera_t"
    assert aligned.student_config("sam2nb_nano") == "sam2nb_nano"
