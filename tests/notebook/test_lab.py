"""setup, describe, show_source, table and check: what every notebook leans on."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from sam2nb import notebook, plotting
from sam2nb.structures import Prompts


def words(capsys):
    return capsys.readouterr().out.strip()


@pytest.fixture(autouse=True)
def no_caption():
    yield
    plotting.set_caption(None)


def test_setup_fixes_every_seed_and_says_where_it_runs(capsys):
    lab = notebook.setup(seed=7)
    first = (random.random(), np.random.rand(), torch.rand(1).item())
    assert words(capsys).startswith(f"device {lab.device.type}, precision ")
    notebook.setup(seed=7, quiet=True)
    assert words(capsys) == ""
    assert first == (random.random(), np.random.rand(), torch.rand(1).item())


def test_a_lab_falls_back_from_tiny_to_nano_to_labelled_random_weights(monkeypatch, capsys):
    asked = []

    def nothing_there(name, **_):
        asked.append(name)
        raise OSError(f"{name}: no source can be reached\nmore lines")

    monkeypatch.setattr(notebook, "load_model", nothing_there)
    lab = notebook.setup(quiet=True)
    model = lab.load(image_size=64)
    said = words(capsys)
    assert asked == ["sam2_hiera_tiny", "sam2nb_nano"]
    assert lab.weights == "RANDOM" and "RANDOM" in said and "more lines" not in said
    assert plotting._caption == notebook.RANDOM_CAPTION, "every figure must say that the weights are random"
    assert model.image_size == 64
    lab.load(image_size=64)
    assert len(asked) == 2, "what is not there is not asked for again"


def test_a_checkpoint_asked_for_by_name_has_no_fallback(monkeypatch):
    def nothing_there(name, **_):
        raise OSError("gone")

    monkeypatch.setattr(notebook, "load_model", nothing_there)
    with pytest.raises(OSError, match="gone"):
        notebook.setup(quiet=True).load("sam2.1_hiera_large")


def test_for_video_image_only_weights_are_not_considered(monkeypatch):
    monkeypatch.setattr(notebook, "best_on_disk", lambda video: None)
    assert notebook.setup(quiet=True)._candidates(video=True) == ["sam2nb_nano"]


def test_every_photograph_is_small_rgb_and_an_unknown_name_lists_them():
    names = notebook.photo_names()
    assert {"astronaut", "coffee", "rocket"} <= set(names)
    for name in names:
        picture = notebook.photo(name)
        assert picture.dtype == np.uint8 and picture.shape[2] == 3 and max(picture.shape) <= 1024
    assert notebook.photo_mask("coffee_cup").shape == notebook.photo("coffee").shape[:2]
    with pytest.raises(ValueError, match="astronaut.*got 'lena'"):
        notebook.photo("lena")


def test_describe_tells_shapes_ranges_and_parameters(capsys):
    notebook.describe(np.array([[True, False]]), "mask")
    assert words(capsys) == "mask: array (1, 2) bool, 50.0% True"
    notebook.describe(Prompts(points=torch.zeros(1, 2, 2)))
    assert words(capsys).splitlines()[:2] == ["Prompts", "  points: tensor (1, 2, 2) float32, 0 to 0"]
    notebook.describe(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)))
    lines = words(capsys).splitlines()
    assert lines[0] == "Sequential: 13 parameters" and lines[1].split() == ["0", "Linear", "9"]


def test_show_source_shows_the_real_code_with_or_without_docstring(capsys):
    notebook.show_source(notebook.photo)
    code = words(capsys)
    assert code.startswith("# sam2nb/notebook.py\ndef photo(") and "A photograph of the project" in code
    notebook.show_source(notebook.photo, docstring=False)
    short = words(capsys)
    assert "A photograph" not in short and "return np.asarray" in short
    compile(short, "photo", "exec")


def test_a_table_outside_a_notebook_is_aligned_text(capsys):
    notebook.table([["a", 1.5], ["bbb", None]], ["name", "value"])
    assert words(capsys).splitlines() == ["name  value", "a     1.5", "bbb   -"]


@pytest.mark.parametrize("answer", [..., None])
def test_an_untouched_stub_is_not_attempted(answer, capsys):
    notebook.check("02.iou", answer)
    assert words(capsys) == "02.iou: not attempted"


def test_a_function_that_still_returns_the_stub_is_not_attempted(capsys):
    notebook.check("02.iou", lambda first, second: ...)
    assert words(capsys) == "02.iou: not attempted"


def test_right_wrong_and_raising_answers_are_told_apart(capsys):
    def right(first, second):
        return (first & second).sum() / (first | second).sum()

    notebook.check("02.iou", right)
    assert words(capsys) == "02.iou: correct"
    notebook.check("02.iou", lambda first, second: (first & second).sum() / first.sum())
    assert "0.143 is right" in words(capsys)
    notebook.check("02.iou", lambda first, second: first["a"])
    assert "your answer raised IndexError" in words(capsys)


def test_an_exercise_that_does_not_exist_is_the_authors_mistake():
    with pytest.raises(ValueError, match="99.nothing"):
        notebook.check("99.nothing", 1)


def test_the_tight_box_may_count_the_last_pixel_or_not(capsys):
    def box(mask, extra=0):
        ys, xs = np.nonzero(mask)
        return [xs.min(), ys.min(), xs.max() + extra, ys.max() + extra]

    for extra in (0, 1):
        notebook.check("02.tight_box", lambda mask, extra=extra: box(mask, extra))
        assert words(capsys) == "02.tight_box: correct"
    notebook.check("02.tight_box", lambda mask: box(mask.T))
    assert "for columns 3 to 9 and rows 1 to 4" in words(capsys)
    notebook.check("01.covered", lambda mask: mask.mean())
    assert words(capsys) == "01.covered: correct"


def test_progress_goes_through_everything():
    assert list(notebook.progress(range(3), "counting")) == [0, 1, 2]
