"""Ratios, spread and lines of a run, and its file."""

import math
from pathlib import Path

import pytest

from sam2nb.evaluation.benchmarks.report import Benchmark, Timing, load_benchmark
from sam2nb.evaluation.benchmarks.setting import Setting, Workload

SETTING = Setting("sam2.1_hiera_tiny", None, "cpu", "float32", 128, False, 1)
LOSSES = "engine_losses.json"  # figures of quality in the same folder, not a run
FOLDER = Path(__file__).resolve().parents[3] / "data" / "benchmarks"
RECORDS = sorted(path for path in FOLDER.glob("*.json") if path.name != LOSSES)


def record(*timings: Timing) -> Benchmark:
    return Benchmark(SETTING, {"cpu": "some"}, "2026-01-01", list(timings))


def test_the_ratio_is_the_median_over_neighbouring_repeats():
    run = record(Timing("sam2nb", "encode", [1.0, 2.0, 1.0]), Timing("official", "encode", [2.0, 6.0, 30.0]))
    assert run.ratios() == {"encode": {"official": 3.0}}


def test_a_contestant_that_failed_has_no_ratio_but_a_reason():
    run = record(Timing("sam2nb", "encode", [1.0]), Timing("official", "encode", failed="no package"))
    assert run.ratios() == {} and math.isnan(run.timings[1].median)
    assert list(run.lines("encode"))[1].endswith("failed: no package")


def test_spread_is_half_the_distance_between_the_quartiles():
    assert Timing("sam2nb", "click", [1.0, 2.0, 3.0, 4.0, 5.0]).spread == 1.0


def test_a_line_shows_time_memory_figures_agreement_and_ratio():
    run = record(
        Timing("sam2nb", "track1", [0.1], [0.2], 10.0),
        Timing("official", "track1", [0.2], [0.6], 20.0, 30.0, held_mb=5.0, agreement=0.5, figures={"masks": 7}),
    )
    _, line = run.lines("track1")
    for words in (
        "200.0 ms",
        "20 MB over",
        "30 MB on the GPU",
        "5 MB kept",
        "masks 7",
        "50.00%",
        "2.00 times",
        "(3.00",
    ):
        assert words in line


def test_a_record_survives_the_file(tmp_path):
    run = record(Timing("sam2nb", "click", [0.1, 0.3], [0.2, 0.2], 12.5, figures={"masks": 3.0}))
    assert load_benchmark(run.save(tmp_path / "run.json")) == run


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_committed_records_are_still_read(path):
    run = load_benchmark(path)
    assert run.timings and all(timing.median > 0 for timing in run.timings if not timing.failed)
    assert run.setting.workload == Workload() or "everything" in path.stem  # the name tells another grid or photograph


def test_there_are_committed_records():
    assert RECORDS
