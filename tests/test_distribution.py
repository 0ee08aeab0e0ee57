"""Wheel and source distribution: what is in them, and that the wheel works in an empty folder without a network."""

import ast
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OFFLINE = """
import socket
def refuse(*_, **__):
    raise OSError("there is no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""
FILES_OF_A_WHEEL = (
    "sam2nb/py.typed",
    "sam2nb/configs/sam2.1_hiera_t.yaml",
    "sam2nb/checkpoints/sam2nb_nano.safetensors",
    "sam2nb/data/photos/cat.jpg",
    "sam2nb/widgets/static/prompt_widget.js",
    "sam2nb/widgets/static/widgets.css",
)
FILES_OF_A_SOURCE = ("README.md", "LICENSE", "SECURITY.md", "CITATION.cff", "tests/test_house.py", "tools/colab.py")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.mark.slow
def test_wheel_and_source_hold_what_belongs_in_them(built):
    [wheel], [source] = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [archive.read(name).decode() for name in names if name.endswith("METADATA")]
    assert set(FILES_OF_A_WHEEL) <= set(names) and not any(name.startswith("tests/") for name in names)
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert any("torch" in line for line in needed) and not any("jupyter" in line for line in needed)
    with tarfile.open(source) as archive:
        inside = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert set(FILES_OF_A_SOURCE) <= inside


@pytest.mark.slow
def test_the_wheel_segments_in_an_empty_folder_without_a_network(built, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    [wheel] = built.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    (site / "sitecustomize.py").write_text(OFFLINE)
    photo = site / "sam2nb" / "data" / "photos" / "cat.jpg"
    command = [sys.executable, "-m", "sam2nb", "segment", str(photo), "--click", "220,120", "--out", "mask.png"]
    command += ["--model", "sam2nb_nano", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(site), "SAM2NB_CHECKPOINTS": str(empty / "none")}
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in empty.iterdir()] == ["mask.png"]


@pytest.mark.parametrize("path", sorted((ROOT / "sam2nb").rglob("*.py")), ids=lambda path: path.stem)
def test_every_module_is_python_3_10(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))


def test_the_citation_has_the_version_and_the_licence_of_the_project():
    yaml, tomllib = pytest.importorskip("yaml"), pytest.importorskip("tomllib")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["cff-version"] == "1.2.0" and citation["preferred-citation"]["url"].endswith("2408.00714")
