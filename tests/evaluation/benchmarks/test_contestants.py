"""Contestants behind the same methods, on the same weights."""

import numpy as np
import pytest

from sam2nb.evaluation import benchmark
from sam2nb.evaluation.benchmarks.contestants import (
    CONTESTANTS,
    Contestant,
    PackageContestant,
    TransformersContestant,
    build_model,
    build_sam2nb,
)
from sam2nb.evaluation.benchmarks.setting import Setting, Workload

SETTING = Setting("sam2nb_nano", None, "cpu", "float32", 128, False, None)
VERBS = [name for name in vars(Contestant) if not name.startswith("_")]


def test_every_contestant_has_every_method():
    assert VERBS == ["encode", "click", "everything", "open", "track", "stream"]
    assert set(CONTESTANTS) == {"sam2nb", "official", "transformers"}
    for kind in (PackageContestant, TransformersContestant):
        assert all(callable(getattr(kind, name)) for name in VERBS)


def test_random_weights_are_the_same_every_time():
    first, second = (build_model(SETTING, None).state_dict() for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)


def test_this_package_clicks_tracks_and_streams(tmp_path):
    from sam2nb.evaluation.benchmarks.scene import boxes, clip_frames, photo, write_clip

    workload = Workload(photo_hw=(60, 80), clip_hw=(96, 300), points_per_side=2)
    contestant, objects = build_sam2nb(SETTING, None), boxes(workload, 2)
    contestant.encode(photo(workload))
    assert contestant.click(40, 30).shape == (3, 60, 80)
    assert contestant.everything(workload, True)(photo(workload)) >= 0
    masks = list(contestant.track(write_clip(tmp_path, workload, 3), objects))
    assert [tuple(logits.shape) for logits in masks] == [(2, 1, 96, 300)] * 3
    frames = clip_frames(workload)
    push = contestant.stream(next(frames), objects)
    assert tuple(push(next(frames)).shape) == (2, 1, 96, 300)


def test_a_package_without_streams_says_so():
    contestant = PackageContestant(None, lambda: None, object)
    with pytest.raises(NotImplementedError, match="no stream"):
        contestant.stream(np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4)))


@pytest.mark.slow
@pytest.mark.parity
def test_the_official_package_and_transformers_track_the_same_masks():
    pytest.importorskip("sam2")
    pytest.importorskip("transformers")
    small = {"weights": None, "image_size": 128, "threads": 1, "repeats": 0}
    run = benchmark("sam2.1_hiera_tiny", against=["official", "transformers"], parts=["track2"], **small)
    assert [timing.failed for timing in run.timings] == [None] * 3
    assert all(timing.agreement > 0.99 for timing in run.timings[1:])
