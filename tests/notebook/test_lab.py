"""Starting a lesson: seeds, weights with their fallbacks, photographs, and what setup changes in the process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sam2nb import notebook, plotting
from sam2nb.notebook import lab as lab_module


def test_setup_fixes_every_seed_and_prints_device_and_precision(printed):
    lab = notebook.setup(seed=7)
    first = (random.random(), np.random.rand(), torch.rand(1).item())
    assert printed().startswith(f"device {lab.device.type}, precision ")
    notebook.setup(seed=7, quiet=True)
    assert printed() == ""
    assert first == (random.random(), np.random.rand(), torch.rand(1).item())


def test_a_lab_falls_back_from_tiny_to_nano_to_labelled_random_weights(monkeypatch, printed):
    requested = []

    def unavailable(name, **_):
        requested.append(name)
        raise OSError(f"{name}: no source can be reached\nmore lines")

    monkeypatch.setattr(lab_module, "load_model", unavailable)
    monkeypatch.setattr(lab_module, "file_on_disk", lambda name: None)
    lab = notebook.setup(quiet=True)
    model = lab.load(image_size=64)
    output = printed()
    assert requested == ["sam2.1_hiera_tiny", "sam2_hiera_tiny", "sam2nb_nano"]
    assert lab.weights == "RANDOM" and "RANDOM" in output and "more lines" not in output
    assert model.image_size == 64
    figure = plotting.show_image(np.zeros((8, 8))).figure
    plotting.figure_bytes(figure)
    captions = [text.get_text() for text in figure.texts]
    assert captions == [lab_module.RANDOM_CAPTION], "every figure must say that the weights are random"
    lab.load(image_size=64)
    assert len(requested) == 3, "unavailable weights are not requested again"


def test_a_checkpoint_requested_by_name_has_no_fallback(monkeypatch):
    def unavailable(name, **_):
        raise OSError("gone")

    monkeypatch.setattr(lab_module, "load_model", unavailable)
    with pytest.raises(OSError, match="gone"):
        notebook.setup(quiet=True).load("sam2.1_hiera_large")


@pytest.mark.parametrize(
    ("best", "order"),
    [
        (None, ["sam2_hiera_tiny", "sam2nb_nano"]),
        ("sam2nb_nano", ["sam2_hiera_tiny", "sam2nb_nano"]),
        ("sam2.1_hiera_tiny", ["sam2.1_hiera_tiny", "sam2_hiera_tiny", "sam2nb_nano"]),
    ],
)
def test_for_video_an_official_checkpoint_with_memory_comes_first(best, order, monkeypatch):
    monkeypatch.setattr(lab_module, "best_on_disk", lambda video: best and SimpleNamespace(name=best))
    on_disk = {best, "sam2_hiera_tiny"}
    monkeypatch.setattr(lab_module, "file_on_disk", lambda name: name if name in on_disk else None)
    assert notebook.setup(quiet=True)._candidates(video=True) == order


@pytest.mark.parametrize(
    ("on_disk", "first"),
    [
        (set(), "sam2.1_hiera_tiny"),
        ({"sam2_hiera_tiny"}, "sam2_hiera_tiny"),
        ({"sam2.1_hiera_tiny", "sam2_hiera_tiny"}, "sam2.1_hiera_tiny"),
    ],
)
def test_the_newest_tiny_is_downloaded_only_if_none_is_on_disk(on_disk, first, monkeypatch):
    monkeypatch.setattr(lab_module, "file_on_disk", lambda name: name if name in on_disk else None)
    assert notebook.setup(quiet=True)._candidates(video=False)[0] == first


def test_every_photograph_is_small_rgb_and_an_unknown_name_lists_them():
    names = notebook.photo_names()
    assert {"astronaut", "coffee", "rocket"} <= set(names)
    for name in names:
        image = notebook.photo(name)
        assert image.dtype == np.uint8 and image.shape[2] == 3 and max(image.shape) <= 1024
    assert notebook.photo_mask("coffee_cup").shape == notebook.photo("coffee").shape[:2]
    with pytest.raises(ValueError, match="astronaut.*got 'lena'"):
        notebook.photo("lena")


@pytest.mark.parametrize("disabled", [True, False])
def test_progress_bars_are_silent_after_setup_only_where_tqdm_disable_is_set(disabled):
    code = """
from sam2nb import notebook
from tqdm.auto import tqdm
notebook.setup(quiet=True)
notebook.setup(quiet=True)
assert list(tqdm(range(2), desc="counting", disable=False)) == [0, 1]
"""
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    environment |= {"TQDM_DISABLE": "1"} if disabled else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ("counting" in done.stderr) is not disabled
