"""Prompt widgets in the pages of the notebooks: the still picture, and what it needs to become live."""

from __future__ import annotations

import base64
import json
import re

import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2nb.widgets import live_page
from sam2nb.widgets.live_page import LEVELS, MIME, VARIABLE, LivePages, packed_map
from sam2nb.widgets.ort_web import OrtWeb
from sam2nb.widgets.prompt import PromptWidget
from tests.test_tools import load_tool

RUNTIME = OrtWeb("export {};", b"packed")
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def unpacked(packed: dict) -> np.ndarray:
    """What the browser makes of a packed map: (C, h * w)"""
    raw = {name: base64.b64decode(text) for name, text in packed.items()}
    low, step = np.frombuffer(raw["low"], "f"), np.frombuffer(raw["step"], "f")
    levels = np.frombuffer(raw["levels"], np.uint8).reshape(len(low), -1)
    return low[:, None] + levels * step[:, None]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e4), st.floats(-1e3, 1e3))
def test_packed_features_are_within_half_a_step(seed, spread, offset):
    values = (np.random.default_rng(seed).normal(size=(5, 4, 6)) * spread + offset).astype("f")
    flat = values.reshape(5, -1)
    step = (flat.max(1) - flat.min(1)) / LEVELS
    rounding = 1e-5 * np.abs(flat).max()
    assert (np.abs(unpacked(packed_map(values)) - flat) <= 0.51 * step[:, None] + rounding).all()


def test_features_of_one_value_come_back():
    assert (unpacked(packed_map(np.full((2, 3, 3), -7.5, "f"))) == -7.5).all()


@pytest.fixture
def bundle(photo, monkeypatch):
    """What a cell stores of a widget while pages are made: data by MIME type."""
    monkeypatch.setenv(VARIABLE, "1")
    widget = PromptWidget(photo, lambda points, labels, box: np.ones(photo.shape[:2], bool), points=[(9, 8)], alt="cat")
    return widget._repr_mimebundle_()[0]


def test_only_while_pages_are_made_an_output_holds_the_picture_and_the_prompts(photo, bundle, monkeypatch):
    assert bundle[MIME]["prompts"][0]["points"] == [[9, 8, 1]] and bundle[MIME]["size"] == [451, 300]
    monkeypatch.delenv(VARIABLE)
    widget = PromptWidget(photo, lambda points, labels, box: np.ones(photo.shape[:2], bool))
    assert MIME not in widget._repr_mimebundle_()[0]


def test_a_page_of_an_executed_notebook_is_live_and_the_notebook_keeps_the_still_picture(bundle, tmp_path):
    tool = load_tool("run_notebooks")
    output = nbformat.v4.new_output("display_data", {name: bundle[name] for name in ("image/jpeg", "text/plain", MIME)})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("widget", outputs=[output])])
    live = LivePages(RUNTIME)
    page = tool.write_html(notebook, tmp_path / "solutions" / "page.html", tmp_path, live).read_text()
    assert live.is_used and 'src: "../sam2nb_live.js"' in page
    told = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert told["size"] == [451, 300] and (told["width"], told["height"]) == (451, 300)
    levels = sum(len(base64.b64decode(one["levels"])) for one in told["features"].values())
    assert levels == 256 * 1024, "the features have 256 KB"
    assert bundle["image/jpeg"][:60] in page and "without Python" in page
    assert list(notebook.cells[0].outputs[0].data) == ["image/jpeg", "text/plain"]


def test_without_a_runtime_a_page_shows_the_still_picture(bundle, tmp_path):
    tool = load_tool("run_notebooks")
    output = nbformat.v4.new_output("display_data", {name: bundle[name] for name in ("image/jpeg", "text/plain", MIME)})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("widget", outputs=[output])])
    page = tool.write_html(notebook, tmp_path / "page.html", tmp_path, None).read_text()
    assert "sam2nb_live" not in page and bundle["image/jpeg"][:60] in page
    assert MIME not in notebook.cells[0].outputs[0].data


def test_the_script_beside_the_pages_holds_the_licence_the_model_and_no_import(tmp_path, monkeypatch):
    monkeypatch.setattr(live_page, "export_graph", lambda graph, path, dtype: path.write_bytes(b"decoder"))
    text = LivePages(RUNTIME).write_script(tmp_path / live_page.SCRIPT).read_text()
    assert text.startswith("/*\nThis page contains ONNX Runtime Web")
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    files = json.loads(re.search(r"^window.sam2nbLive = (.*);$", text, re.MULTILINE)[1])
    assert files["facts"]["image_size"] == 256 and base64.b64decode(files["wasm"]) == b"packed"
