"""Timing, ratios and records; the contestants themselves only at a tiny size."""

import math

import pytest

from sam2nb.evaluation.benchmark import Benchmark, Setting, Timing, benchmark, load_benchmark, write_clip

SETTING = Setting("sam2.1_hiera_tiny", None, "cpu", "float32", 128, False, 1)


def record(*timings: Timing) -> Benchmark:
    return Benchmark(SETTING, {"cpu": "some"}, "2026-01-01", list(timings))


def test_the_ratio_is_the_median_over_neighbouring_repeats():
    run = record(Timing("sam2nb", "encode", [1.0, 2.0, 1.0]), Timing("official", "encode", [2.0, 6.0, 30.0]))
    assert run.ratios() == {"encode": {"official": 3.0}}


def test_a_contestant_that_failed_has_no_ratio_but_a_reason():
    run = record(Timing("sam2nb", "encode", [1.0]), Timing("official", "encode", failed="no package"))
    assert run.ratios() == {} and math.isnan(run.timings[1].median)


def test_a_record_survives_the_file(tmp_path):
    run = record(Timing("sam2nb", "click", [0.1, 0.3], [0.2, 0.2], 12.5))
    assert load_benchmark(run.save(tmp_path / "run.json")) == run


def test_spread_is_half_the_distance_of_the_quartiles():
    assert Timing("sam2nb", "click", [1.0, 2.0, 3.0, 4.0, 5.0]).spread == 1.0


@pytest.mark.parametrize(("argument", "value"), [("parts", ("encode", "dance")), ("against", ("official", "sam1"))])
def test_unknown_parts_and_contestants_are_named(argument, value):
    with pytest.raises(ValueError, match=f"{argument} has '{value[1]}'"):
        benchmark(weights=None, **{argument: value})


def test_the_clip_has_as_many_frames_as_asked(tmp_path):
    assert len(list(write_clip(tmp_path / "clip", 3).iterdir())) == 3


@pytest.mark.slow
def test_a_run_keeps_what_it_has_and_notes_what_failed(tmp_path):
    lines = []
    run = benchmark(
        parts=("click", "track1"),
        weights=None,
        image_size=128,
        threads=1,
        repeats=1,
        report=lines.append,
        save_to=tmp_path / "run.json",
    )
    assert [t.part for t in run.timings] == ["click", "track1"]
    assert all(t.failed is None and len(t.seconds) == 1 and t.seconds[0] > 0 for t in run.timings)
    assert load_benchmark(tmp_path / "run.json").timings == run.timings
    assert len(lines) == 2
