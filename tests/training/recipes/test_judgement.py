import numpy as np
import pytest
import torch

from sam2nb.training.data.stock import new_stock
from sam2nb.training.recipes.judgement import (
    Listener,
    answers_on_photographs,
    answers_on_scenes,
    train_head,
    wanted_quality,
)


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
