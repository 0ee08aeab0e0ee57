import csv

import numpy as np
import pytest
import torch

from sam2nb.training.data.batches import clip_batch, still_batch
from sam2nb.training.loop import make_optimiser, schedule, train
from sam2nb.training.losses import total
from sam2nb.training.recipes.toy import likely_pixels
from sam2nb.training.run_state import TrainingDiverged, load_state
from sam2nb.training.step import TrainingStep

STILLS = {"name": "stills", "steps": 6, "warmup": 2, "rounds": 2, "rates": {"": 1e-3}}
CLIPS = {"name": "clips", "steps": 4, "warmup": 1, "frozen_encoder": True, "rates": {"memory": 1e-3, "obj_ptr": 1e-3}}


def batches(materials):
    def make(rng, phase, step):
        if phase["name"] == "clips":
            return clip_batch(rng, materials, clips=1, frames=3, side=64)
        return still_batch(rng, materials, photos=0, composed=2, side=64, objects=2)

    return make


def losses(folder) -> list[tuple[str, str, str]]:
    with open(folder / "log.csv") as stream:
        return [(row["phase"], row["step"], row["value"]) for row in csv.DictReader(stream) if row["name"] == "loss"]


def test_a_killed_run_goes_on_with_the_losses_of_an_unbroken_one(tmp_path, materials, small_model, monkeypatch):
    monkeypatch.setattr("sam2nb.training.loop.RunLog.__init__.__defaults__", (1,))
    phases, make = [STILLS, CLIPS], batches(materials)
    unbroken = train(TrainingStep(small_model()), phases, make, tmp_path / "one", device="cpu")
    for steps in (4, 3, None):  # stops within the first phase, then within the second
        broken = train(TrainingStep(small_model()), phases, make, tmp_path / "two", device="cpu", stop_after=steps)
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert len(losses(tmp_path / "one")) == 10
    for one, two in zip(unbroken.model.parameters(), broken.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_weights(tmp_path, materials, small_model):
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


def test_a_folder_with_another_model_is_refused(tmp_path, materials, small_model):
    train(TrainingStep(small_model()), [STILLS | {"steps": 1}], batches(materials), tmp_path, device="cpu")
    other = small_model()
    other.obj_ptr_proj = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match="trained another model"):
        train(TrainingStep(other), [STILLS], batches(materials), tmp_path, device="cpu")


def test_ctrl_c_saves(tmp_path, materials, small_model):
    make = batches(materials)

    def interrupted(rng, phase, step):
        if step == 2:
            raise KeyboardInterrupt
        return make(rng, phase, step)

    with pytest.raises(KeyboardInterrupt):
        train(TrainingStep(small_model()), [STILLS], interrupted, tmp_path, device="cpu")
    assert load_state(tmp_path)["progress"]["step"] == 2


def test_only_the_named_parts_learn(small_model):
    model = small_model()
    optimiser = make_optimiser(model, {"memory": 1e-3, "memory_encoder.out_proj": 1e-4}, 0.02)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning
    assert all("memory" in name for name in learning)
    assert {group["peak"] for group in optimiser.param_groups} == {1e-3, 1e-4}


def test_a_rate_that_fits_no_parameter_is_an_error(small_model):
    with pytest.raises(ValueError, match="no parameter's name contains"):
        make_optimiser(small_model(), {"mask_decodr": 1e-3}, 0.02)


def test_the_state_of_something_else_is_refused(tmp_path):
    torch.save({"hello": 1}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="not the state of a training run"):
        load_state(tmp_path)


def test_the_schedule_warms_up_and_falls_to_a_hundredth():
    values = [schedule(step, 100, 10) for step in range(100)]
    assert values[0] == 0.1
    assert max(values) == values[9] == 1.0
    assert values[-1] < 0.012


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_steps_from_scratch_improve(tmp_path, materials, small_model):
    """On pictures never seen, the loss falls and the pixels called likely move towards the objects."""
    held_out = still_batch(np.random.default_rng(99), materials, photos=0, composed=8, side=64, objects=2)

    def loss_of(model) -> float:
        with torch.inference_mode():
            return float(total(TrainingStep(model).stills(held_out, np.random.default_rng(7), rounds=1)))

    model = small_model()
    loss_before, (_, ranking_before) = loss_of(model), likely_pixels(model, held_out)
    phase = STILLS | {"steps": 200, "warmup": 20, "rounds": 1, "rates": {"": 5e-4}}
    average = train(TrainingStep(model.train()), [phase], batches(materials), tmp_path, device="cpu")
    _, ranking_after = likely_pixels(average.model, held_out)
    assert loss_of(average.model.train()) < 0.7 * loss_before
    assert ranking_after > ranking_before + 0.05
