import numpy as np
import pytest
import torch

from sam2nb.build import build_sam2, load_model
from sam2nb.training.data.stock import new_stock
from sam2nb.training.recipes import judgement
from sam2nb.training.recipes.judgement import (
    Listener,
    answers_on_photographs,
    answers_on_scenes,
    train_head,
    wanted_quality,
)
from sam2nb.training.recipes.nano import read_recipe
from sam2nb.weights.checkpoint import save_checkpoint


def test_half_the_quality_is_agreement_with_the_best_mask_and_half_with_any():
    overlap = torch.tensor([[[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 0.5]]])
    found = wanted_quality(overlap, torch.tensor([[0.5, 1.0, 0.2]]))
    expected = [(0.1 + 0.45) / 2, (0.8 + 0.8) / 2, (0.0 + 0.1) / 2]
    assert found[0].tolist() == pytest.approx(expected)


def test_a_model_that_is_its_own_teacher_answers_as_well_as_it_thinks(small_model):
    model = small_model("eval")
    views = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    listener = Listener(model)
    tokens, quality = answers_on_photographs(model, listener, model, views, 4, np.random.default_rng(0))
    assert tokens.shape == (8, 256)
    assert quality.shape == (8, 3)
    with torch.no_grad():
        own = model.sam_mask_decoder.iou_prediction_head(tokens)[:, 1:]
    assert (quality.max(1).values <= own.max(1).values + 1e-5).all()


def test_only_the_head_learns_and_it_learns_the_order(small_model, materials):
    model = small_model("eval")
    listener = Listener(model)
    stock = new_stock(np.asarray(materials.labels.images)[:, ::4, ::4], materials.cutouts, torch.device("cpu"))
    tokens, quality = answers_on_scenes(model, listener, stock, 12, np.random.default_rng(0))
    assert len(tokens) == len(quality) > 5
    assert ((quality >= 0) & (quality <= 1)).all()
    wanted = torch.tensor([[0.2, 0.9, 0.4]]).expand(len(tokens), 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_head(model, [(tokens, wanted)], 150, 1e-2, np.random.default_rng(0), batch=16)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all("iou_prediction_head" in name for name in changed)
    with torch.no_grad():
        found = model.sam_mask_decoder.iou_prediction_head(tokens)[:, 1:]
    assert (found.argmax(1) == 1).all()


@pytest.mark.slow
def test_the_whole_recipe_mends_a_spoilt_head(toy_sources, tmp_path):
    spoilt = load_model("sam2nb_nano", device="cpu", fast=False)
    with torch.no_grad():
        spoilt.sam_mask_decoder.iou_prediction_head.layers[-1].bias.sub_(2.0)
    recipe = read_recipe("nano_judgement") | {
        **toy_sources,
        "runs": str(tmp_path / "runs"),
        "teacher": "sam2nb_nano",
        "teacher_side": 128,
        "start": str(save_checkpoint(spoilt, tmp_path / "spoilt.safetensors")),
        "image_size": 128,
        "view_side": 128,
        "threads": 1,
        "workers": 0,
        "photographs": 2,
        "clicks": 12,
        "scenes": 3,
        "steps": 80,
        "rate": 1e-3,
    }
    path = judgement.run(recipe)
    views = judgement.read_views(judgement.training_photos(recipe), 1, 128, 0)
    teacher = load_model("sam2nb_nano", device="cpu", image_size=128, fast=False)

    def error(weights) -> float:
        model = build_sam2("sam2nb_nano", weights, "cpu", hydra_overrides_extra=["++model.image_size=128"], fast=False)
        rng = np.random.default_rng(9)
        tokens, quality = answers_on_photographs(model, Listener(model), teacher, views, 12, rng)
        with torch.no_grad():
            return float((model.sam_mask_decoder.iou_prediction_head(tokens)[:, 1:] - quality).abs().mean())

    assert error(path) < 0.7 * error(recipe["start"])
