import pytest
import torch

from sam2nb.training.optimiser import make_optimiser
from sam2nb.training.run_state import MovingAverage, Progress, load_state, restore, save_state


@pytest.fixture
def saved(tmp_path):
    """A folder with the state of a run that was interrupted at step 3 of its second phase."""
    model = torch.nn.Linear(2, 2)
    optimiser = make_optimiser(model, {"": 1e-3}, 0.0)
    save_state(tmp_path, Progress(phase=1, step=3, total=9), model, MovingAverage(model, 0.9), optimiser)
    return tmp_path, model


def test_a_saved_run_is_restored_with_its_progress_and_weights(saved):
    folder, model = saved
    other = torch.nn.Linear(2, 2)
    average = MovingAverage(other, 0.9)
    progress, optimiser_state = restore(folder, other, average)
    assert progress == Progress(phase=1, step=3, total=9)
    assert optimiser_state["param_groups"][0]["peak"] == 1e-3
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(average.model.weight, model.weight)


def test_between_two_phases_no_optimiser_is_restored(saved):
    folder, model = saved
    average = MovingAverage(model, 0.9)
    save_state(folder, Progress(phase=2, step=0, total=12), model, average, make_optimiser(model, {"": 1e-3}, 0.0))
    assert restore(folder, model, average) == (Progress(phase=2, step=0, total=12), None)


def test_an_empty_folder_starts_at_the_beginning(tmp_path):
    model = torch.nn.Linear(2, 2)
    assert restore(tmp_path, model, MovingAverage(model, 0.9)) == (Progress(), None)


def test_an_interruption_while_saving_leaves_the_old_state(saved, monkeypatch):
    folder, model = saved

    def interrupted(state, file):
        file.write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    optimiser = make_optimiser(model, {"": 1e-3}, 0.0)
    with pytest.raises(KeyboardInterrupt):
        save_state(folder, Progress(phase=1, step=4, total=10), model, MovingAverage(model, 0.9), optimiser)
    assert load_state(folder)["progress"] == {"phase": 1, "step": 3, "total": 9}


def test_a_file_that_is_not_the_state_of_a_run_is_refused(tmp_path):
    torch.save({"hello": 1}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="not the state of a training run"):
        load_state(tmp_path)


def test_the_average_follows_fast_at_first_and_slowly_later():
    model = torch.nn.Linear(1, 1)
    average = MovingAverage(model, 0.99)
    torch.nn.init.constant_(average.model.weight, 0.0)
    torch.nn.init.constant_(model.weight, 1.0)
    average.update(model, step=0)
    assert average.model.weight.item() == pytest.approx(0.9)
    torch.nn.init.constant_(average.model.weight, 0.0)
    average.update(model, step=100_000)
    assert average.model.weight.item() == pytest.approx(0.01)


def test_a_damaged_state_is_refused_by_name(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"last\.pt is damaged; delete it to start afresh"):
        load_state(tmp_path)
