"""Checkpoints for a comparison, and the advice of notebook 05."""

from __future__ import annotations

import itertools
import shutil
from types import SimpleNamespace

import pytest

from sam2nb.notebook import compare
from sam2nb.weights.registry import CHECKPOINTS


def test_a_checkpoint_on_disk_is_ready_without_a_download(monkeypatch, printed):
    monkeypatch.setattr(compare, "download", lambda name: pytest.fail("there is nothing to download"))
    assert compare.fetch(["sam2nb_nano"]) == ["sam2nb_nano"]
    assert printed().split() == ["sam2nb_nano", "ready"]


def test_what_cannot_be_had_is_left_out_with_its_size_and_the_reason(monkeypatch, printed):
    def refuse(name):
        raise OSError(f"{name} could not be downloaded:\nmore")

    monkeypatch.setattr(compare, "is_on_disk", lambda checkpoint: checkpoint.name == "sam2nb_nano")
    monkeypatch.setattr(compare, "download", refuse)
    assert compare.fetch(["sam2.1_hiera_large", "sam2nb_nano"]) == ["sam2nb_nano"]
    size, refusal, ready = printed().splitlines()
    assert "898 MB to download" in size and "left out: sam2.1_hiera_large could not be downloaded" in refusal
    assert ready.endswith("ready")


def test_a_full_disk_is_noticed_before_the_download(monkeypatch, printed):
    monkeypatch.setattr(compare, "is_on_disk", lambda checkpoint: False)
    monkeypatch.setattr(compare, "download", lambda name: pytest.fail("the disk is too full"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=900_000_000))
    assert compare.fetch(["sam2.1_hiera_large"]) == []
    assert "left out: the disk is too full" in printed()


def test_what_is_downloaded_is_ready(monkeypatch, printed):
    got = []
    monkeypatch.setattr(compare, "is_on_disk", lambda checkpoint: False)
    monkeypatch.setattr(compare, "download", got.append)
    assert compare.fetch(["sam2.1_hiera_t"]) == got == ["sam2.1_hiera_tiny"]


def test_an_unknown_name_is_refused_before_any_download(monkeypatch):
    monkeypatch.setattr(compare, "download", lambda name: pytest.fail("too early"))
    with pytest.raises(ValueError, match="no checkpoint is called 'sam3'"):
        compare.fetch(["sam2.1_hiera_large", "sam3"])


@pytest.mark.parametrize("answers", list(itertools.product([False, True], repeat=4)))
def test_every_answer_leads_to_a_line_that_names_a_checkpoint(answers, printed):
    names = ("video", "gpu", "offline", "hurry")
    for prompt, objects in itertools.product(("click", "clicks", "box"), (1, 20)):
        line = compare.advise(**dict(zip(names, answers, strict=True)), prompt=prompt, objects=objects)
        name = line.split('"')[1]
        assert name in CHECKPOINTS and printed().startswith(line)
        video, gpu, offline, _ = answers
        assert ("dtype" in line) == gpu
        if offline or not gpu:
            assert name in ("sam2nb_nano", "sam2nb_tiny", "sam2_hiera_tiny")
        if video:
            assert name != "sam2_hiera_tiny", "without a network these weights have no learned memory"


def test_questions_without_a_sensible_answer_are_refused():
    with pytest.raises(ValueError, match='prompt must be "click", "clicks" or "box"'):
        compare.advise(video=False, gpu=False, prompt="word")
    with pytest.raises(ValueError, match="objects must be 1 or more"):
        compare.advise(video=True, gpu=False, objects=0)
