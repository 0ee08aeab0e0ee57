"""The app as a whole: its commands, its help and its start-up."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sam2nb.cli import app

COMMANDS = [
    "info",
    "download",
    "export",
    "segment",
    "auto",
    "track",
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


def test_the_app_starts_without_torch_numpy_or_matplotlib():
    code = "import sys, sam2nb.cli; print(*{'torch', 'numpy', 'PIL', 'hydra', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "sam2nb", "--help"], capture_output=True, text=True, check=True)
    assert "Learn, teach and use Segment Anything 2." in done.stdout
