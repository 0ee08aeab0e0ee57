from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb.training import validate as validate_module
from sam2nb.training.data.batches import generator, still_batch
from sam2nb.training.phase import Phase
from sam2nb.training.run_log import RunLog
from sam2nb.training.validate import mask_grid, validate

STILLS = Phase("stills", steps=1, rates={}, batch={"photos": 1, "composed": 1})


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr("sam2nb.training.run_log._tensorboard", lambda folder: None)
    for name, count in (("PHOTOS", 2), ("COMPOSED", 4), ("CLIPS", 1), ("FRAMES", 2)):
        monkeypatch.setattr(validate_module, name, count)


def test_scores_repeat_and_leave_the_model_in_its_mode(tmp_path, materials, small_model):
    model, log = small_model("train"), RunLog(tmp_path)
    first, second = (validate(model, materials, log, STILLS, step) for step in (1, 2))
    assert first == second
    assert set(first) == {"box", "click1", "click2", "click3"}
    assert model.training
    assert "val_box" in (tmp_path / "log.csv").read_text()


def test_clips_are_scored_in_phases_that_train_on_clips(tmp_path, materials, small_model):
    phase = replace(STILLS, name="any name", batch={"clips": 1, "frames": 2})
    assert 0 <= validate(small_model("eval"), materials, RunLog(tmp_path), phase, 1)["clip"] <= 1


def test_the_grid_shows_the_images_at_half_size_with_masks_in_colour(tmp_path, materials):
    batch = still_batch(generator(0, 0), materials, photos=0, composed=6, side=64)
    none = torch.zeros_like(batch.truth, dtype=torch.bool)
    plain, coloured = mask_grid(batch, none), mask_grid(batch, batch.truth > 0.5)
    assert plain.shape == (32, 6 * 32, 3)
    assert plain.dtype == np.uint8
    assert (plain != coloured).any()
    Image.fromarray(coloured).save(tmp_path / "grid.png")
