from dataclasses import replace

import numpy as np
import pytest
import torch

from sam2nb.model.memory_bank import MemoryBank
from sam2nb.training import step as step_module
from sam2nb.training.data.batches import clip_batch, generator, still_batch
from sam2nb.training.phase import Phase
from sam2nb.training.step import TrainingStep, choose_in_clip, memory_score


@pytest.mark.parametrize("num_maskmem", [5, 7])
def test_a_clip_attends_to_its_first_frame_the_latest_frames_and_all_pointers(num_maskmem):
    for frame in range(1, 17):
        recent = range(max(1, frame - num_maskmem + 1), frame)
        choice = choose_in_clip(frame, num_maskmem)
        assert choice.spatial == ((0, num_maskmem - 1), *((other, frame - other - 1) for other in recent))
        assert choice.pointers == tuple((other, frame - other) for other in (0, *reversed(range(1, frame))))
        assert choice.pointer_span == 15


def test_the_losses_of_a_still_are_those_of_the_paper_and_of_the_teacher(materials, small_model):
    step = TrainingStep(small_model())
    batch = still_batch(generator(0, 0), materials, photos=1, composed=1, side=64)
    phase = Phase("stills", steps=1, rates={}, rounds=3)
    losses = step(batch, np.random.default_rng(0), phase)
    assert set(losses) == {"features", "focal", "dice", "iou", "object"}
    assert set(step(replace(batch, teacher=None), np.random.default_rng(0), phase)) == set(losses) - {"features"}


def test_a_batch_without_objects_trains_the_features_alone(materials, small_model):
    batch = still_batch(generator(0, 0), materials, photos=2, composed=0, side=64, objects=0)
    losses = TrainingStep(small_model()).stills(batch, np.random.default_rng(0), rounds=1)
    assert set(losses) == {"features"}


def test_a_frozen_encoder_gets_no_gradient_from_clips(materials, small_model, monkeypatch):
    monkeypatch.setattr(step_module, "FIRST_FRAME_PROMPTS", {"box": 1.0})
    batch = clip_batch(generator(0, 0), materials, clips=1, frames=2, side=64)
    for frozen in (True, False):
        step = TrainingStep(small_model())
        sum(step.clips(batch, np.random.default_rng(0), frozen).values()).backward()
        trained = [p for name, p in step.model.named_parameters() if "image_encoder.trunk" in name]
        assert all(p.grad is None for p in trained) == frozen


@pytest.mark.parametrize("kind", ["mask", "box", "click"])
def test_clips_learn_from_every_first_prompt(materials, small_model, monkeypatch, kind):
    monkeypatch.setattr(step_module, "FIRST_FRAME_PROMPTS", {kind: 1.0})
    step = TrainingStep(small_model())
    batch = clip_batch(generator(0, 1), materials, clips=2, frames=3, side=64)
    losses = step.clips(batch, np.random.default_rng(0), False)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert step.model.memory_encoder.out_proj.weight.grad.abs().sum() > 0


def test_the_first_frame_is_remembered_as_prompted_and_the_others_as_tracked(materials, small_model, monkeypatch):
    banks = []
    monkeypatch.setattr(step_module, "MemoryBank", lambda: banks.append(MemoryBank()) or banks[-1])
    batch = clip_batch(generator(0, 2), materials, clips=1, frames=4, side=64)
    with torch.inference_mode():
        tracked = dict(TrainingStep(small_model("eval")).track(batch))
    assert sorted(tracked) == [1, 2, 3]
    assert all(logits.shape == (len(batch.clip_index), 1, 16, 16) for logits in tracked.values())
    assert sorted(banks[0].prompted) == [0]
    assert sorted(banks[0].tracked) == [1, 2, 3]


def test_half_of_the_time_memory_gets_the_true_object_score():
    truth = torch.zeros(2, 4, 4)
    truth[0, 1, 1] = 1
    predicted = torch.tensor([[-3.0], [3.0]])
    scores = [memory_score(predicted, truth, np.random.default_rng(seed)).flatten().tolist() for seed in range(20)]
    assert {tuple(score) for score in scores} == {(-3.0, 3.0), (1.0, -1.0)}
