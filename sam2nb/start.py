"""Open the notebooks with nothing but Python: environment, packages, checkpoint, JupyterLab.

`python -m sam2nb lab` in the project's folder does what `make lab` does, on Windows, too. It imports the standard
library alone, because it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CHECKPOINT = "sam2_hiera_tiny"
NEEDED = ("torch", "typer", "jupyterlab", "anywidget")  # a Python that has these is used as it is
CPU_TORCH = ("torch", "torchvision", "--index-url", "https://download.pytorch.org/whl/cpu")
NOTEBOOK = "notebooks/01_setup.ipynb"


def open_notebooks(browser: bool = True, cpu: bool = False, project: Path = PROJECT) -> int:
    """Prepare what is missing and run JupyterLab until it is stopped; returns its exit code.

    browser: open one. cpu: install PyTorch without GPU support, a tenth of the size.
    Raises FileNotFoundError outside the project's folder, OSError where a step fails.
    """
    if not (project / NOTEBOOK).is_file():
        raise FileNotFoundError(f"there are no notebooks in {project}: run this in the folder of the source code")
    python = prepared_python(project, cpu)
    if _run(python, project, "-m", "sam2nb", "download", CHECKPOINT):
        print("No checkpoint could be fetched; the notebooks use sam2nb_nano.")
    options = [] if browser else ["--no-browser"]
    if hasattr(os, "getuid") and os.getuid() == 0:
        options.append("--allow-root")
    return _run(python, project, "-m", "jupyterlab", *options, NOTEBOOK)


def prepared_python(project: Path, cpu: bool) -> Path:
    """This Python if it has everything, else that of .venv, which is made and filled where needed."""
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return Path(sys.executable)
    folder = project / ".venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "lab.done"  # as in the Makefile
    if not python.is_file():
        print(f"making a virtual environment in {folder}", flush=True)
        _must(Path(sys.executable), project, "-m", "venv", str(folder))
    sources = [project / "requirements.txt", project / "pyproject.toml"]
    if not stamp.is_file() or any(file.stat().st_mtime > stamp.stat().st_mtime for file in sources):
        print("installing packages, once; this takes some minutes", flush=True)
        if cpu:
            _must(python, project, "-m", "pip", "install", "--quiet", *CPU_TORCH)
        _must(python, project, "-m", "pip", "install", "--quiet", "--editable", ".[lab,train]")
        stamp.touch()
    return python


def _run(python: Path, project: Path, *arguments: str) -> int:
    try:
        return subprocess.run([str(python), *arguments], cwd=project).returncode
    except KeyboardInterrupt:  # Ctrl+C is how JupyterLab is stopped
        return 0


def _must(python: Path, project: Path, *arguments: str) -> None:
    if _run(python, project, *arguments):
        raise OSError(f"this step failed, see the lines above: {python} {' '.join(arguments)}")


def main() -> int:
    """Run `python -m sam2nb lab` where not even the command line's own packages are installed."""
    parser = argparse.ArgumentParser(prog="python -m sam2nb lab", description="Open the notebooks in JupyterLab.")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.add_argument("--cpu", action="store_true", help="install PyTorch without GPU support, a tenth of the size")
    options = parser.parse_args(sys.argv[2:])
    try:
        return open_notebooks(not options.no_browser, options.cpu)
    except OSError as error:
        print(f"sam2nb: {error}", file=sys.stderr)
        return 2
