"""The app as a whole: its commands, its help and its start-up."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam2nb.cli import app

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = [
    "info",
    "download",
    "export",
    "segment",
    "auto",
    "track",
    "like",
    "evaluate",
    "benchmark",
    "fetch",
    "train",
    "finetune",
]


def test_the_help_lists_every_command():
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert all(f" {command} " in result.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options(command):
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0 and "--help" in result.output


@pytest.mark.parametrize("command", ["segment", "auto", "track"])
def test_the_example_in_the_help_runs_twice(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    help_text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    example = re.findall(r"python -m sam2nb (.* (?:build|--resume)\S*)", help_text)[0]
    words = [*example.replace("build/", f"{tmp_path}/").split(), "--model", "sam2nb_nano", "--image-size", "64"]
    for again in ([], ["--resume"] if command == "track" else []):
        result = CliRunner().invoke(app, [*words, *again])
        assert result.exit_code == 0, (result.output, result.exception)
    assert len(list(tmp_path.iterdir())) >= 1


@pytest.mark.parametrize(("command", "option"), [("segment", "--boxes"), ("track", "--names")])
def test_the_example_with_class_names_runs_and_writes_them(command, option, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    help_text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    example = re.search(rf"python -m sam2nb (.* {option} .* build\S*)", help_text).group(1)
    words = [*example.replace("build/", f"{tmp_path}/").split(), "--model", "sam2nb_nano", "--image-size", "64"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (result.output, result.exception)
    text = "".join(file.read_text() for file in tmp_path.rglob("*.json"))
    assert ("spoon" if command == "segment" else "bunny") in text


def test_the_app_starts_without_torch_numpy_or_matplotlib():
    code = "import sys, sam2nb.cli; print(*{'torch', 'numpy', 'PIL', 'hydra', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sam2nb", "--help"], capture_output=True, text=True, check=True)
    assert "Learn, teach and use Segment Anything 2." in done.stdout
