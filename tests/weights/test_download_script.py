"""checkpoints/download_ckpts.sh: the checkpoints of the READMEs, in that folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sam2nb.weights.registry import find_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "checkpoints" / "download_ckpts.sh"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def run(script: Path, *names: str, python: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": python}
    return subprocess.run(
        ["bash", str(script), *names], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def test_without_names_it_downloads_the_four_of_the_readme_into_its_own_folder(tmp_path):
    folder = tmp_path / "a project" / "checkpoints"
    folder.mkdir(parents=True)
    script = Path(shutil.copy(SCRIPT, folder))
    spy = tmp_path / "python"
    spy.write_text('#!/usr/bin/env bash\npwd\nprintf "%s\\n" "$@"\nexit 3\n')
    spy.chmod(0o755)
    done = run(script, python=str(spy), cwd=tmp_path)
    where, *arguments = done.stdout.splitlines()
    assert Path(where) == folder.parent and done.returncode == 3
    assert arguments[:5] == ["-m", "sam2nb", "download", "--folder", str(folder)]
    assert [find_checkpoint(name).generation for name in arguments[5:]] == ["2.1"] * 4
    assert len(set(arguments[5:])) == 4


def test_a_checkpoint_that_is_there_is_found_and_a_wrong_name_fails(tmp_path):
    assert os.access(SCRIPT, os.X_OK)
    done = run(SCRIPT, "sam2nb_nano", python=sys.executable, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip().endswith("sam2nb_nano.safetensors")
    done = run(SCRIPT, "sam3", python=sys.executable, cwd=tmp_path)
    assert done.returncode != 0 and "no checkpoint is called 'sam3'" in done.stderr
