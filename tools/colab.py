"""Write the start cell into all notebooks, and for an address the Colab badge and links that work in Colab.

    python tools/colab.py https://github.com/you/your-fork            # badges that open that repository's main branch
    python tools/colab.py https://github.com/you/your-fork --branch dev
    python tools/colab.py                                             # no address: no badge, hence no dead link

The start cell is the same everywhere. Where sam2nb is missing, pip installs it from SOURCE: the address, or what its
reader writes there, such as the name of a wheel that was uploaded, else from the environment variable SAM2NB_SOURCE,
else from the answer to a question. It never replaces a part of the running kernel.

The address is in no other file. Running the tool twice changes nothing.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?$")
COLAB = "https://colab.research.google.com"
BADGE_IMAGE = f"{COLAB}/assets/colab-badge.svg"
BADGE_START = "[![Open in Colab]("
OLD_BADGE = re.compile(re.escape(BADGE_START) + r"[^)]*\)\]\([^)]*/github/([\w.-]+)/([\w.-]+)/blob/([^)]+?)/notebooks/")
RELATIVE_LINK = re.compile(r"\]\((?!\w+:|#|/)([^)#\s]+)(#[^)\s]*)?\)")
BOOTSTRAP_TAG = "bootstrap"

START = """\
# @title Start: find sam2nb or install it from SOURCE, fix the seeds, pick the device
SOURCE = "{source}"  # @param {{type:"string"}}
DRIVE = False  # @param {{type:"boolean"}}
from importlib.util import find_spec
from os import environ

if not find_spec("sam2nb"):  # SOURCE: a package, a wheel, git+https://github.com/...
    SOURCE = SOURCE or environ.get("SAM2NB_SOURCE") or input("SOURCE of sam2nb: ")
    %pip install -q "{{SOURCE}}" anywidget jupyter_bbox_widget

from sam2nb.notebook import setup

lab = setup(seed=0, drive=DRIVE)"""


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
    place = path.relative_to(ROOT).as_posix()
    old = OLD_BADGE.search(notebook.cells[0].source)
    set_badge(notebook, badge(address, branch, place) if address else "")
    for cell in notebook.cells:
        if BOOTSTRAP_TAG in cell.metadata.get("tags", []):
            cell.source = start_cell(address, branch)
        elif cell.cell_type == "markdown":
            text = relative_links(cell.source, place, *old.groups()) if old else cell.source
            cell.source = absolute_links(text, place, address, branch) if address else text
    after = nbformat.writes(notebook) + "\n"
    if after.strip() == before.strip():
        return False
    path.write_text(after, encoding="utf-8")
    return True


def absolute_links(text: str, place: str, address: str, branch: str) -> str:
    """Markdown whose links to files of the project work in Colab, too: notebooks open there, the rest on GitHub."""
    owner, name = ADDRESS.match(address).groups()

    def absolute(link: re.Match) -> str:
        file = posixpath.normpath(posixpath.join(posixpath.dirname(place), link[1]))
        host = f"{COLAB}/github" if file.endswith(".ipynb") else "https://github.com"
        return f"]({host}/{owner}/{name}/blob/{branch}/{file}{link[2] or ''})"

    return RELATIVE_LINK.sub(absolute, text)


def relative_links(text: str, place: str, owner: str, name: str, branch: str) -> str:
    """The opposite of absolute_links."""
    hosts = f"(?:{re.escape(COLAB)}/github|https://github\\.com)"
    absolute = re.compile(rf"\]\({hosts}/{re.escape(f'{owner}/{name}/blob/{branch}')}/([^)#\s]+)(#[^)]*)?\)")

    def relative(link: re.Match) -> str:
        return f"]({posixpath.relpath(link[1], posixpath.dirname(place))}{link[2] or ''})"

    lines = text.split("\n")
    return "\n".join(line if line.startswith(BADGE_START) else absolute.sub(relative, line) for line in lines)


def start_cell(address: str, branch: str = "main") -> str:
    """The source of the first code cell, which installs from the address where sam2nb is missing."""
    return START.format(source=f"git+{address.rstrip('/')}@{branch}" if address else "")


def badge(address: str, branch: str, path: str) -> str:
    """The badge that opens `path` of the repository in Colab, as Markdown."""
    owner, name = ADDRESS.match(address).groups()
    return f"{BADGE_START}{BADGE_IMAGE})]({COLAB}/github/{owner}/{name}/blob/{branch}/{path})"


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
