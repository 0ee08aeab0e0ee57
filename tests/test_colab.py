"""A notebook alone in an empty folder, where Jupyter has Colab's versions and sam2nb is installed by the start cell."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "02_point_and_box_prompts.ipynb"
# pip-freeze.gpu.txt of https://github.com/googlecolab/backend-info, February 2026
COLAB = {
    "ipykernel": "6.17.1",
    "ipython": "7.34.0",
    "ipywidgets": "7.7.1",
    "jupyter_client": "7.4.9",
    "traitlets": "5.7.1",
    "tornado": "6.5.1",
}
CELL_SECONDS = 900

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def names_needed(name: str, found: set[str]) -> set[str]:
    """A distribution and all that it needs, as far as it is installed."""
    name = name.lower().replace("_", "-")
    try:
        requirements = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return found
    if name not in found:
        found.add(name)
        for requirement in map(Requirement, requirements):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                names_needed(requirement.name, found)
    return found


def link_packages(folder: Path) -> None:
    """Links to what sam2nb needs, which Colab has: torch, numpy, matplotlib, …, but neither sam2nb nor Jupyter."""
    folder.mkdir()
    found: set[str] = set()
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            names_needed(Requirement(line).name, found)
    for name in found:
        for file in metadata.files(name) or []:
            top, link = file.parts[0], folder / file.parts[0]
            if top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(file.locate()).parents[len(file.parts) - 1] / top)


def pip(python: Path, *arguments: str) -> str:
    done = subprocess.run([python, "-m", "pip", *arguments], capture_output=True, text=True, env=clean_environment())
    if done.returncode and "install" in arguments:
        pytest.skip(f"the package registry does not deliver Colab's versions: {done.stderr[-300:]}")
    return done.stdout


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_a_notebook_alone_in_a_folder_installs_sam2nb_and_runs_to_its_end(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    python = colab_like_python(tmp_path)
    before = pip(python, "freeze")
    assert "sam2nb" not in before and f"ipywidgets=={COLAB['ipywidgets']}" in before

    spec = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Colab"}
    kernel = tmp_path / "jupyter" / "kernels" / "colab" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({**spec, "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("SAM2NB_SOURCE", str(wheel))
    monkeypatch.setenv("SAM2NB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    notebook = notebook_with_start_cell()
    resources = {"metadata": {"path": str(empty)}}
    nbclient.NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="colab", resources=resources).execute()

    after = pip(python, "freeze")
    lost, added = (set(a.splitlines()) - set(b.splitlines()) for a, b in ((before, after), (after, before)))
    assert lost == set(), "nothing that was there is replaced"
    assert any(line.startswith("sam2nb") for line in added)
    assert not [line for line in added if re.match("onnxruntime|jupyterlab|ipykernel|ipython|ipywidgets|torch", line)]
    text = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    assert "weights: " in text and "application/vnd.jupyter.widget-view+json" in text


def colab_like_python(folder: Path) -> Path:
    """A Python with the packages of sam2nb and Colab's versions of Jupyter."""
    link_packages(folder / "packages")
    venv.create(folder / "colab", with_pip=True)
    python = folder / "colab" / "bin" / "python"
    [site] = (folder / "colab").glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(f"{folder / 'packages'}\n")
    pip(python, "install", "--quiet", *(f"{name}=={version}" for name, version in COLAB.items()))
    return python


def notebook_with_start_cell() -> nbformat.NotebookNode:
    spec = importlib.util.spec_from_file_location("colab", ROOT / "tools" / "colab.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if "bootstrap" in cell.metadata.get("tags", []):
            cell.source = tool.start_cell("")
    return notebook
