"""Turns of the contestants, and a whole run at a tiny size."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from sam2nb.evaluation import benchmark
from sam2nb.evaluation.benchmarks.report import load_benchmark
from sam2nb.evaluation.benchmarks.run import take_turns
from sam2nb.evaluation.benchmarks.setting import Workload

ROOT = Path(__file__).resolve().parents[3]
TINY = {"weights": None, "image_size": 128, "threads": 1, "workload": Workload(photo_hw=(60, 80), clip_hw=(96, 300))}


class Scripted:
    """A worker that answers from a list."""

    def __init__(self, log, label, *results):
        self.log, self.label, self.results = log, label, iter(results)

    def ask(self, order):
        self.log.append((self.label, order))
        return next(self.results)


def result(seconds=1.0, **more):
    fields = {"seconds": seconds, "cpu_seconds": seconds, "peak_mb": 1.0, "peak_gpu_mb": None, "held_mb": 0.0}
    return {**fields, "figures": {}, **more}


def test_contestants_alternate_and_the_warm_up_is_not_timed():
    log = []
    workers = {name: Scripted(log, name, result(9.0), result(1.0), result(2.0)) for name in ("sam2nb", "official")}
    ours, theirs = take_turns(workers, "encode", 2)
    assert [label for label, _ in log] == ["sam2nb", "official"] * 3
    assert log[0][1] == {"part": "encode", "repeats": 2} and log[2][1] == {}
    assert ours.seconds == theirs.seconds == [1.0, 2.0]


def test_a_failure_ends_the_part_of_one_contestant_only():
    log = []
    workers = {
        "sam2nb": Scripted(log, "sam2nb", result(), result(), result()),
        "official": Scripted(log, "official", result(), {"problem": "out of memory"}),
    }
    ours, theirs = take_turns(workers, "encode", 2)
    assert len(ours.seconds) == 2 and theirs.failed == "out of memory" and theirs.seconds == []


def test_a_part_that_is_over_has_figures_and_no_failure():
    workers = {"sam2nb": Scripted([], "sam2nb", result(figures={"largest_side": 3000}), {"over": True})}
    (timing,) = take_turns(workers, "largest", 5)
    assert timing.failed is None and timing.figures == {"largest_side": 3000} and timing.seconds == []


def test_agreement_is_the_share_of_equal_pixels(tmp_path):
    for name, ones in (("ours", 0), ("theirs", 3)):
        masks = np.zeros((1, 3, 4), bool)
        masks.flat[:ones] = True
        np.save(tmp_path / f"{name}.npy", masks)
    workers = {
        "sam2nb": Scripted([], "sam2nb", result(masks=str(tmp_path / "ours.npy"))),
        "official": Scripted([], "official", result(masks=str(tmp_path / "theirs.npy"))),
    }
    ours, theirs = take_turns(workers, "click", 0)
    assert ours.agreement is None and theirs.agreement == 0.75


@pytest.mark.parametrize(("argument", "value"), [("parts", ("encode", "dance")), ("against", ("official", "sam1"))])
def test_unknown_parts_and_contestants_are_named_before_anything_starts(argument, value):
    with pytest.raises(ValueError, match=f"{argument} has '{value[1]}'"):
        benchmark(weights=None, **{argument: value})


@pytest.mark.slow
def test_a_run_keeps_its_timings_and_notes_failures(tmp_path):
    lines = []
    options = {**TINY, "repeats": 1, "report": lines.append, "save_to": tmp_path / "run.json"}
    run = benchmark("sam2nb_nano", parts=("click", "track1", "largest"), **options)
    assert [t.part for t in run.timings] == ["click", "track1", "largest"]
    assert all(t.failed is None and len(t.seconds) == 1 and t.seconds[0] > 0 for t in run.timings[:2])
    assert load_benchmark(tmp_path / "run.json").timings == run.timings
    assert len(lines) == 3


@pytest.mark.slow
def test_another_checkout_predicts_the_same_masks_from_the_same_weights(tmp_path):
    folder = tmp_path / "before"
    shutil.copytree(ROOT / "sam2nb", folder / "sam2nb", ignore=shutil.ignore_patterns("__pycache__", "benchmarks"))
    (folder / "configs").symlink_to(ROOT / "configs")
    run = benchmark("sam2nb_nano", against=[str(folder)], parts=["click", "track2"], repeats=1, **TINY)
    assert [t.contestant for t in run.timings] == ["sam2nb", "before (checkout)"] * 2
    assert all(t.agreement == 1.0 for t in run.timings if t.contestant != "sam2nb")
    assert set(run.ratios()) == {"click", "track2"}
    assert run.machine["commits"]["before (checkout)"] is None
