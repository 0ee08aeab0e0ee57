"""`python -m sam2nb lab`: the steps of `make lab`, with the standard library alone."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sam2nb import start

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in (start.NOTEBOOK, "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.fixture
def steps(monkeypatch):
    """The commands that were run, without the Python before them; those in `failing` fail."""
    commands = []

    def run(command, cwd):
        commands.append(command[1:])
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        return subprocess.CompletedProcess(command, int(any(word in failing for word in command)))

    failing: set[str] = set()
    commands_and_failing = (commands, failing)
    monkeypatch.setattr(start.subprocess, "run", run)
    monkeypatch.setattr(start, "NEEDED", ("no_such_package",))
    return commands_and_failing


@pytest.mark.skipif(os.name == "nt", reason="the folders of a virtual environment have other names")
def test_the_first_time_everything_is_made_and_later_only_opened(project, steps):
    commands, _ = steps
    assert start.open_notebooks(project=project, cpu=True) == 0
    assert [next(w for w in c if w in ("venv", "pip", "sam2nb", "jupyterlab")) for c in commands] == [
        *("venv", "pip", "pip", "sam2nb", "jupyterlab")
    ]
    assert commands[1][-1].endswith("/cpu") and commands[2][-1] == ".[lab,train]" and commands[4][-1] == start.NOTEBOOK
    commands.clear()
    start.open_notebooks(browser=False, project=project)
    assert [c[1] for c in commands] == ["sam2nb", "jupyterlab"] and "--no-browser" in commands[1]
    commands.clear()
    later = (project / ".venv" / "lab.done").stat().st_mtime + 5
    os.utime(project / "pyproject.toml", (later, later))
    start.open_notebooks(project=project)
    assert [c[1] for c in commands] == ["pip", "sam2nb", "jupyterlab"], "changed requirements are installed"


def test_a_python_that_has_everything_is_used(project, steps, monkeypatch):
    monkeypatch.setattr(start, "NEEDED", ("os",))
    assert start.prepared_python(project, cpu=False) == Path(sys.executable) and steps[0] == []


def test_without_a_checkpoint_the_notebooks_open_all_the_same(project, steps, monkeypatch, capsys):
    commands, failing = steps
    monkeypatch.setattr(start, "NEEDED", ("os",))
    failing.add("download")
    assert start.open_notebooks(project=project) == 0
    assert "use sam2nb_nano" in capsys.readouterr().out and commands[-1][1] == "jupyterlab"


def test_a_step_that_fails_is_named_in_one_line(project, steps, monkeypatch, capsys):
    steps[1].add("pip")
    with pytest.raises(OSError, match="this step failed.*pip install"):
        start.open_notebooks(project=project)
    monkeypatch.setattr(sys, "argv", ["sam2nb", "lab", "--no-browser"])
    monkeypatch.setattr(start.open_notebooks, "__defaults__", (True, False, project / "elsewhere"))
    assert start.main() == 2 and "there are no notebooks in" in capsys.readouterr().err


def test_it_starts_before_anything_is_installed():
    tree = ast.parse((ROOT / "sam2nb" / "start.py").read_text(encoding="utf-8"))
    imported = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    imported |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    bare = [sys.executable, "-I", "-S", "-c"]
    code = f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); sys.argv = ['sam2nb', *{{words}}]; "
    code += "runpy.run_module('sam2nb', run_name='__main__', alter_sys=True)"
    done = subprocess.run([*bare, code.format(words=["lab", "--help"])], capture_output=True, text=True)
    assert done.returncode == 0 and "--no-browser" in done.stdout, done.stderr
    done = subprocess.run([*bare, code.format(words=["info"])], capture_output=True, text=True)
    assert done.returncode == 1 and "python -m sam2nb lab installs them" in done.stderr
