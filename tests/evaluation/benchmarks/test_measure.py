"""Orders and results of a contestant's process, with a contestant that computes very little."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from sam2nb.evaluation.benchmarks import measure
from sam2nb.evaluation.benchmarks.setting import Setting, Workload

WORKLOAD = Workload(photo_hw=(30, 40), clip_hw=(48, 300))
SETTING = asdict(Setting("sam2nb_nano", None, "cpu", "float32", 128, False, None, workload=WORKLOAD))


class Small:
    """A contestant with a click, an everything mode without masks, and no encoder."""

    def __init__(self, setting, weights):
        self.frames = 9

    def encode(self, image):
        if image.ndim != 3:
            raise ValueError("no image")

    def click(self, x, y):
        return np.ones((3, 30, 40), bool)

    def everything(self, workload, unfiltered):
        raise NotImplementedError("no everything mode")

    def track(self, clip, boxes):
        for _ in range(self.frames):
            yield torch.full((len(boxes), 1, 4, 4), -1.0)


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Send orders to a contestant; the results."""
    monkeypatch.setattr(measure, "CONTESTANTS", {"small": Small})

    def send(*orders, contestant="small"):
        first = {"contestant": contestant, "setting": SETTING, "weights": None, "folder": str(tmp_path / "0")}
        return list(measure.serve(iter([first, *orders])))

    return send


def test_a_step_has_seconds_memory_and_figures(ask):
    ready, result = ask({"part": "encode", "repeats": 1})
    assert ready == {} and result["seconds"] > 0 and result["cpu_seconds"] >= 0
    assert result["peak_mb"] >= 0 and result["peak_gpu_mb"] is None and result["figures"] == {}


def test_masks_are_written_by_the_warm_up_step_only(ask):
    _, warm_up, timed = ask({"part": "click", "repeats": 1}, {})
    assert np.load(warm_up["masks"]).shape == (3, 30, 40) and "masks" not in timed


def test_logits_become_masks_of_every_object(ask):
    _, warm_up = ask({"part": "track2", "repeats": 1})
    masks = np.load(warm_up["masks"])
    assert masks.shape == (2, 4, 4) and masks.dtype == bool and not masks.any()


def test_a_part_that_fails_leaves_the_next_one_working(ask):
    _, failed, result = ask({"part": "everything", "repeats": 1}, {"part": "encode", "repeats": 1})
    assert failed == {"problem": "NotImplementedError: no everything mode"} and "seconds" in result


def test_a_part_without_more_steps_is_over(ask):
    *_, last = ask({"part": "track1", "repeats": 1}, {}, {})
    assert last == {"over": True}


def test_a_contestant_that_cannot_be_built_is_a_problem(ask):
    assert ask(contestant="absent") == [{"problem": "KeyError: 'absent'"}]
