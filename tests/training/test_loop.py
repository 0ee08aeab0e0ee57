import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from sam2nb.training.data.batches import clip_batch, still_batch
from sam2nb.training.loop import RunOptions, train
from sam2nb.training.losses import total
from sam2nb.training.phase import Phase
from sam2nb.training.recipes.nano import RecipeBatches
from sam2nb.training.run_state import TrainingDiverged, load_state
from sam2nb.training.simulated_user import boxes_around
from sam2nb.training.step import TrainingStep

STILLS = Phase("stills", steps=6, rates={"": 1e-3}, warmup=2, rounds=2)
CLIPS = Phase("clips", steps=4, rates={"memory": 1e-3, "obj_ptr": 1e-3}, warmup=1, frozen_encoder=True)


def batches(materials):
    def make(rng, phase, step):
        if phase.name == "clips":
            return clip_batch(rng, materials, clips=1, frames=3, side=64)
        return still_batch(rng, materials, photos=0, composed=2, side=64, objects=2)

    return make


def losses(folder) -> list[tuple[str, str, str]]:
    with open(folder / "log.csv") as stream:
        return [(row["phase"], row["step"], row["value"]) for row in csv.DictReader(stream) if row["name"] == "loss"]


def test_an_interrupted_run_continues_with_the_losses_of_an_unbroken_one(tmp_path, materials, small_model, monkeypatch):
    monkeypatch.setattr("sam2nb.training.run_log.STEPS_PER_ENTRY", 1)
    phases, make = [STILLS, CLIPS], batches(materials)
    unbroken = train(TrainingStep(small_model()), phases, make, tmp_path / "one", device="cpu")
    for steps in (4, 3, None):  # stops within the first phase, then within the second
        broken = train(TrainingStep(small_model()), phases, make, tmp_path / "two", device="cpu", stop_after=steps)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert len(losses(tmp_path / "one")) == 10
    for one, two in zip(unbroken.model.parameters(), broken.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_weights(tmp_path, materials, small_model):
    make = batches(materials)

    def poisoned(rng, phase, step):
        batch = make(rng, phase, step)
        if step == 3:
            batch.pixels[:] = float("nan")
        return batch

    step = TrainingStep(small_model())
    with pytest.raises(TrainingDiverged, match=r"step 3 of phase 'stills'.*rates"):
        train(step, [STILLS], poisoned, tmp_path, device="cpu")
    saved = load_state(tmp_path)
    assert saved["progress"] == {"phase": 0, "step": 3, "total": 3}
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())
    assert all(torch.equal(tensor, saved["model"][name]) for name, tensor in step.model.state_dict().items())


def test_a_folder_with_the_run_of_another_model_is_refused(tmp_path, materials, small_model):
    train(TrainingStep(small_model()), [replace(STILLS, steps=1)], batches(materials), tmp_path, device="cpu")
    other = small_model()
    other.obj_ptr_proj = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match="trained another model"):
        train(TrainingStep(other), [STILLS], batches(materials), tmp_path, device="cpu")


def test_ctrl_c_saves_the_state(tmp_path, materials, small_model):
    make = batches(materials)

    def interrupted(rng, phase, step):
        if step == 2:
            raise KeyboardInterrupt
        return make(rng, phase, step)

    with pytest.raises(KeyboardInterrupt):
        train(TrainingStep(small_model()), [STILLS], interrupted, tmp_path, device="cpu")
    assert load_state(tmp_path)["progress"]["step"] == 2


def test_worker_processes_change_no_batch(tmp_path, materials, small_model, monkeypatch):
    monkeypatch.setattr("sam2nb.training.run_log.STEPS_PER_ENTRY", 1)
    phases = [replace(STILLS, steps=2, batch={"photos": 0, "composed": 2})]
    make = RecipeBatches(materials, image_size=64)  # not a closure, so that workers can be started by any method
    train(TrainingStep(small_model()), phases, make, tmp_path / "one", device="cpu")
    train(TrainingStep(small_model()), phases, make, tmp_path / "two", RunOptions(workers=1), device="cpu")
    assert losses(tmp_path / "one") == losses(tmp_path / "two")


def test_a_phase_begins_with_the_averaged_weights_and_may_change_them(tmp_path, materials, small_model):
    begun = []

    def begin_phase(model, phase):
        begun.append(phase.name)
        with torch.no_grad():
            model.no_mem_pos_enc.fill_(len(begun))  # a parameter that no loss reads

    phases = [replace(STILLS, steps=1, rates={"sam_mask_decoder": 1e-3}), replace(CLIPS, steps=1)]
    step = TrainingStep(small_model())
    average = train(step, phases, batches(materials), tmp_path, begin_phase=begin_phase, device="cpu")
    assert begun == ["stills", "clips"]
    assert (average.model.no_mem_pos_enc == 2).all()


def test_validation_sees_the_averaged_model_every_few_steps(tmp_path, materials, small_model):
    seen = []
    step = TrainingStep(small_model())

    def validate(model, log, phase, at):
        seen.append((phase.name, at))
        assert model is not step.model

    options = RunOptions(validate_every=2)
    train(step, [STILLS], batches(materials), tmp_path, options, validate=validate, device="cpu")
    assert seen == [("stills", 2), ("stills", 4), ("stills", 6)]


@torch.inference_mode()
def ranking(model, batch) -> float:
    """How well a barely trained model ranks pixels, given the box of every object.

    Its masks may be empty, so an object of n pixels is compared with the n most likely ones; mean IoU with the truth.
    """
    model.eval()
    truth = batch.truth > 0.5
    features = model.encode_image(batch.pixels)
    conditioned = model.recall(features)[batch.image_index]
    high_res = features.rows(batch.image_index).high_res
    boxes = boxes_around(np.random.default_rng(0), truth, noise=0.0)
    logits = model.predict_masks(conditioned, high_res, boxes, multimask=False).logits[:, 0].numpy()
    ious = []
    for found, wanted in zip(logits, truth.numpy(), strict=True):
        best = found > np.sort(found, axis=None)[-wanted.sum() - 1]
        ious.append((best & wanted).sum() / (best | wanted).sum())
    return float(np.mean(ious))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_steps_from_scratch_improve(tmp_path, materials, small_model):
    """On images never seen, the loss falls and the most likely pixels move towards the objects."""
    held_out = still_batch(np.random.default_rng(99), materials, photos=0, composed=8, side=64, objects=2)

    def loss_of(model) -> float:
        with torch.inference_mode():
            return float(total(TrainingStep(model).stills(held_out, np.random.default_rng(7), rounds=1)))

    model = small_model()
    loss_before, ranking_before = loss_of(model), ranking(model, held_out)
    phase = Phase("stills", steps=200, rates={"": 5e-4}, warmup=20)
    average = train(TrainingStep(model.train()), [phase], batches(materials), tmp_path, device="cpu")
    ranking_after = ranking(average.model, held_out)
    assert loss_of(average.model.train()) < 0.7 * loss_before
    assert ranking_after > ranking_before + 0.05
