"""Descriptions, source code and tables, as printed outside a notebook."""

from __future__ import annotations

import numpy as np
import torch

from sam2nb import notebook
from sam2nb.notebook.show import first_line
from sam2nb.structures import Prompts


def test_describe_prints_shapes_ranges_and_parameters(printed):
    notebook.describe(np.array([[True, False]]), "mask")
    assert printed() == "mask: array (1, 2) bool, 50.0% True"
    notebook.describe(Prompts(points=torch.zeros(1, 2, 2)))
    assert printed().splitlines()[:2] == ["Prompts", "  points: tensor (1, 2, 2) float32, 0 to 0"]
    notebook.describe(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)))
    lines = printed().splitlines()
    assert lines[0] == "Sequential: 13 parameters" and lines[1].split() == ["0", "Linear", "9"]


def test_describe_indents_the_entries_of_a_tuple(printed):
    notebook.describe((np.zeros(2, int), "text"), "pair")
    assert printed().splitlines() == ["pair: tuple of 2", "  0: array (2,) int64, 0 to 0", "  1: 'text'"]
    notebook.describe((0.0, 1.0), "ends")
    assert printed().strip() == "ends: (0.0, 1.0)"


def test_show_source_shows_the_actual_code_with_or_without_its_docstring(printed):
    notebook.show_source(notebook.photo)
    code = printed()
    assert code.startswith("# sam2nb/notebook/samples.py\ndef photo(") and "One of the project's photographs" in code
    notebook.show_source(notebook.photo, docstring=False)
    short = printed()
    assert "photographs" not in short and "return np.asarray" in short
    compile(short, "photo", "exec")


def test_show_source_names_the_file_of_a_package(printed):
    notebook.show_source(notebook)
    assert printed().startswith("# sam2nb/notebook/__init__.py\n")


def test_a_table_outside_a_notebook_is_aligned_text(printed):
    notebook.table([["a", 1.5], ["bbb", None]], ["name", "value"])
    assert printed().splitlines() == ["name  value", "a     1.5", "bbb   -"]


def test_progress_yields_every_item():
    assert list(notebook.progress(range(3), "counting")) == [0, 1, 2]


def test_an_exception_without_a_message_is_described_by_its_type():
    assert first_line(ValueError("one\ntwo")) == "one" and first_line(KeyError()) == "KeyError"
