"""Every snippet of the SAM 2 READMEs and notebooks, after changing its imports."""

from __future__ import annotations

import pytest
import torch

from tests.compat.snippets import COUNT_COMPILED, GIVEN, SNIPPETS, project, with_our_imports


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return project(tmp_path_factory.mktemp("project"))


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_runs_after_changing_the_import(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    code = with_our_imports(SNIPPETS[name])
    assert "sam2." not in code.replace("sam2.1", "") and "from sam2nb import" in code
    names: dict = {}
    exec(COUNT_COMPILED, names)
    monkeypatch.setattr(torch, "compile", names["count"])
    exec(compile(GIVEN + code, name, "exec"), names)
