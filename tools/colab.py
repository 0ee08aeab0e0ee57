"""Write the Colab badge and the installing start cell into all notebooks, or remove them.

    python tools/colab.py https://github.com/you/your-fork            # badges that open that repository's main branch
    python tools/colab.py https://github.com/you/your-fork --branch dev
    python tools/colab.py                                             # no address: no badge, hence no dead link

The address is in no other file. Running the tool twice changes nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?$")
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
BADGE_START = "[![Open in Colab]("
BOOTSTRAP_TAG = "bootstrap"

LOCAL_START = """\
import importlib.util

if importlib.util.find_spec("sam2nb") is None:
    raise ModuleNotFoundError("sam2nb is missing: run `make lab`, or `pip install -e .` in the project's folder")

from sam2nb.notebook import setup

lab = setup(seed=0)"""

COLAB_START = """\
import importlib.util
import subprocess
import sys
from pathlib import Path

REPO, BRANCH = "{address}", "{branch}"
if importlib.util.find_spec("sam2nb") is None:  # on Colab: fetch the project, keep Colab's own torch
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--branch", BRANCH, REPO, "project"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", "project[lab]"], check=True)
    sys.path.insert(0, str(Path("project").resolve()))

from sam2nb.notebook import setup

lab = setup(seed=0)"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", default="", help="https://github.com/OWNER/NAME; empty: no badges")
    parser.add_argument("--branch", default="main")
    options = parser.parse_args()
    address = options.address.strip()
    if address and not ADDRESS.match(address):
        print(f"REPO must be an address such as https://github.com/you/your-fork, got {address!r}")
        return 2
    for path in sorted(NOTEBOOKS.glob("**/*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        changed = rewrite(path, address, options.branch)
        print(f"{path.relative_to(ROOT)}: {'written' if changed else 'unchanged'}")
    return 0


def rewrite(path: Path, address: str, branch: str) -> bool:
    """Adapt one notebook to the address; True if that changed the file."""
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    set_badge(notebook, badge(address, branch, path.relative_to(ROOT).as_posix()) if address else "")
    for cell in notebook.cells:
        if BOOTSTRAP_TAG in cell.metadata.get("tags", []):
            cell.source = start_cell(address, branch)
    after = nbformat.writes(notebook) + "\n"
    if after.strip() == before.strip():
        return False
    path.write_text(after, encoding="utf-8")
    return True


def start_cell(address: str, branch: str = "main") -> str:
    """The source of the first code cell."""
    return COLAB_START.format(address=address.rstrip("/"), branch=branch) if address else LOCAL_START


def badge(address: str, branch: str, path: str) -> str:
    """The badge that opens `path` of the repository in Colab, as Markdown."""
    owner, name = ADDRESS.match(address).groups()
    return f"{BADGE_START}{BADGE_IMAGE})](https://colab.research.google.com/github/{owner}/{name}/blob/{branch}/{path})"


def set_badge(notebook: nbformat.NotebookNode, text: str) -> None:
    """Put the badge below the title and remove an older one; an empty text only removes."""
    title = notebook.cells[0]
    lines = title.source.split("\n")
    kept = []
    for line in lines:
        if line.startswith(BADGE_START):
            if kept and kept[-1] == "":
                kept.pop()
            continue
        kept.append(line)
    if text:
        kept[1:1] = ["", text]
    title.source = "\n".join(kept)


if __name__ == "__main__":
    sys.exit(main())
