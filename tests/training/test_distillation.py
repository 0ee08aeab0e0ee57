import dataclasses

import numpy as np
import pytest
import torch

from sam2nb.structures import MaskPrediction
from sam2nb.training.data.batches import ClipBatch
from sam2nb.training.distillation import (
    CropBatch,
    DistillationStep,
    choose_truth,
    covered,
    crops_of_scenes,
    spread_of_features,
)
from sam2nb.training.losses import imitation_losses
from sam2nb.training.phase import Phase

PHASE = Phase("imitate", 1, {"": 1.0}, rounds=2)


def prediction_of(logits: torch.Tensor, iou: torch.Tensor) -> MaskPrediction:
    return MaskPrediction(logits, iou, torch.zeros(*iou.shape, 256), torch.ones(len(iou), 1))


def random_crops(teacher_side: int, side: int) -> CropBatch:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, teacher_side, teacher_side, generator=generator)
    return CropBatch(pixels, torch.rand(2, 3, 2, generator=generator), side)


def test_a_student_that_is_its_own_teacher_has_no_feature_loss(small_model):
    model = small_model("eval")
    step = DistillationStep(model, model)
    losses = step(random_crops(model.image_size, model.image_size), np.random.default_rng(0), PHASE)
    assert float(losses["features"]) == pytest.approx(0, abs=1e-8)


def test_losses_of_crops_reach_the_student_and_not_the_teacher(small_model):
    student, teacher = small_model(), small_model("eval")
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.01)
    step = DistillationStep(student, teacher, spread_of_features(teacher, torch.randn(2, 3, 64, 64)))
    losses = step(random_crops(64, 64), np.random.default_rng(1), PHASE)
    torch.stack(list(losses.values())).sum().backward()
    assert student.image_encoder.trunk.patch_embed.proj.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert "object" not in losses


def test_clips_are_trained_as_before(small_model):
    model = small_model()
    frames, objects = 2, 2
    batch = ClipBatch(
        pixels=torch.randn(frames, 1, 3, 64, 64),
        clip_index=torch.zeros(objects, dtype=torch.long),
        truth=torch.ones(frames, objects, 16, 16),
        first_masks=torch.ones(objects, 1, 64, 64),
    )
    assert "object" in DistillationStep(model, model)(batch, np.random.default_rng(0), PHASE)


def test_the_teachers_own_answers_cost_nothing():
    truths = torch.zeros(2, 3, 16, 16)
    truths[:, :, 4:12, 4:12] = 1
    logits = torch.where(truths > 0, 20.0, -20.0)
    iou = torch.tensor([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]])
    losses = imitation_losses(prediction_of(logits, iou), truths, iou)
    assert float(losses["focal"]) == pytest.approx(0, abs=1e-6)
    assert float(losses["dice"]) == pytest.approx(0, abs=1e-3)
    assert float(losses["iou"]) == pytest.approx(0, abs=1e-6)
    wrong = imitation_losses(prediction_of(-logits, iou), truths, iou)
    assert all(float(wrong[name]) > float(losses[name]) + 0.1 for name in losses)


def test_an_object_without_a_usable_answer_does_not_count():
    truths = torch.rand(2, 3, 16, 16)
    iou = torch.tensor([[0.9, 0.8, 0.7], [0.0, 0.0, 0.0]])
    logits = torch.randn(2, 3, 16, 16)
    both = imitation_losses(prediction_of(logits, torch.rand(2, 3)), truths, iou)
    changed = logits.clone()
    changed[1] = -changed[1]
    again = imitation_losses(prediction_of(changed, torch.rand(2, 3)), truths, iou)
    assert float(both["focal"]) == pytest.approx(float(again["focal"]))


def test_only_good_and_sizeable_masks_become_the_truth():
    logits = torch.full((3, 3, 32, 32), -5.0)
    logits[0, :, 5:20, 5:20] = 5.0
    logits[1, :, 0, 0] = 5.0  # one pixel of 1,024 is large enough, its quality is not
    answers = prediction_of(logits, torch.tensor([[0.2, 0.9, 0.3], [0.1, 0.1, 0.1], [0.9, 0.9, 0.9]]))
    assert choose_truth(np.random.default_rng(0), answers).tolist() == [1, -1, -1]


def test_covered_counts_the_share_of_a_cell():
    logits = torch.tensor([[-1.0, 1.0], [1.0, 1.0]])[None, None]
    assert covered(logits, 1).item() == 0.75


def test_crops_come_with_clicks_in_the_image(materials):
    from sam2nb.training.data.stock import new_stock

    stock = new_stock(np.asarray(materials.labels.images)[:, ::4, ::4], materials.cutouts, torch.device("cpu"))
    batch = crops_of_scenes(np.random.default_rng(0), stock, crops=2, clicks=5, teacher_side=64, side=32)
    assert batch.pixels.shape == (2, 3, 64, 64)
    assert batch.clicks.shape == (2, 5, 2)
    assert ((batch.clicks >= 0) & (batch.clicks <= 1)).all()
    assert dataclasses.replace(batch, side=16).side == 16
