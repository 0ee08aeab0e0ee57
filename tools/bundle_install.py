"""Install the course from this folder, without a network, and open it.

    python install.py               # makes ~/sam2nb-course and opens JupyterLab
    python install.py --folder D:\\course --no-lab

Started again, it only opens JupyterLab. Needs Python 3.10 to 3.13 and nothing else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

STICK = Path(__file__).resolve().parent
COPIED = ("notebooks", "data", "weights")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path.home() / "sam2nb-course", help="where the course goes")
    parser.add_argument("--no-lab", action="store_true", help="install only")
    options = parser.parse_args()
    folder = options.folder.resolve()
    python = folder / "python" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "installed").is_file():
        install(folder, python)
    environment = {**os.environ, "SAM2NB_CHECKPOINTS": str(folder / "weights")}
    if options.no_lab:
        return subprocess.run([str(python), "-m", "sam2nb", "doctor"], env=environment, cwd=folder).returncode
    command = [str(python), "-m", "jupyterlab", "notebooks/01_setup.ipynb"]
    return subprocess.run(command, env=environment, cwd=folder).returncode


def install(folder: Path, python: Path) -> None:
    """Copy the course, make a virtual environment beside it and fill it from wheels/."""
    [wheel] = (STICK / "wheels").glob("sam2nb-*.whl")
    for name in COPIED:
        if (STICK / name).is_dir():
            shutil.copytree(STICK / name, folder / name, dirs_exist_ok=True)
    print(f"installing into {folder}; this takes some minutes", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "python")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    done = subprocess.run([*pip, "--find-links", str(STICK / "wheels"), f"{wheel}[lab]"])
    if done.returncode:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(f"The wheels on this stick do not fit Python {version} on this computer: {sys.platform}.")
    (folder / "installed").touch()


if __name__ == "__main__":
    sys.exit(main())
