"""Write two sections of README.md: the table of the notebooks, and the tree with a phrase for every folder and file.

    python tools/readme_tree.py             # rewrite what stands between the markers
    python tools/readme_tree.py --check     # exit status 1 if a section is out of date

A notebook's title and time are those of its first cell. A file's phrase is the first sentence of its module docstring,
a folder's that of its `__init__.py`.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sam2nb"
README = ROOT / "README.md"
FLOORS = ROOT / "tests" / "test_floors.py"
BEGIN, END = "<!-- tree: written by tools/readme_tree.py -->", "<!-- end of the tree -->"
TABLE_BEGIN, TABLE_END = "<!-- notebooks: written by tools/readme_tree.py -->", "<!-- end of the notebooks -->"
WIDTH = 120

AFTERWARDS = {  # you can …
    "00": "find your way, and see your progress",
    "01": "run everything anywhere, and make a first mask",
    "02": "click, box, refine",
    "03": "segment everything, and choose the filters",
    "03b": "write masks to files; know what a very large photograph costs",
    "04": "track, correct, follow several objects",
    "05": "choose a checkpoint",
    "06": "handle images that break other tools",
    "07": "build attention from numpy, explain the model, see what its memory reads",
    "08": "train a small model, adapt a large one to your labels",
    "09": "label twelve images, fine-tune, compare, export: a project with a rubric",
}

# Folders without an `__init__.py`: those of the project, in the order of the tree, and one of the package.
FOLDERS = {
    "notebooks": "01_setup … 09_capstone, to be read in this order; solutions/",
    "examples": "thirteen short scripts to copy",
    "sam2nb": "the package; an entry imports only from entries above it",
    "configs": "hydra: a generation, a trunk and a short entry file per model; train/",
    "checkpoints": "sam2nb_nano and sam2nb_tiny (committed), and what is downloaded",
    "data": "photographs, clips, a sample with exact masks, their sources and licences; measurements",
    "docs": "the site: its settings, its navigation, the pages of the reference",
    "tests": "mirrors sam2nb/; parity/ compares with the official package, browser/ clicks on the widgets",
    "tools": "what maintainers run: notebooks, badges, figures, the site, this tree",
}
STATIC = {
    "notebook/questions": "Three questions on each notebook, as JSON in the form of jupyterquiz",
    "widgets/static": "The browser side: the widgets, the playground, live pages, decoding with onnxruntime-web",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if README.md is out of date")
    options = parser.parse_args()
    before = README.read_text(encoding="utf-8")
    after = with_notebooks(with_tree(before))
    if before == after:
        return 0
    if options.check:
        print("README.md is out of date: run python tools/readme_tree.py")
        return 1
    README.write_text(after, encoding="utf-8")
    return 0


def with_tree(readme: str) -> str:
    """The text of the README with its tree as it should be.

    Raises ValueError if the markers are not there.
    """
    return _with_section(readme, BEGIN, END, "\n".join(["```text", *tree(), "```"]))


def with_notebooks(readme: str) -> str:
    """The text of the README with its table of the notebooks as it should be.

    Raises ValueError if the markers are not there.
    """
    rows = [notebook_row(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    table = ["| notebook | time | afterwards you can |", "|---|---|---|", *rows]
    return _with_section(readme, TABLE_BEGIN, TABLE_END, "\n".join(table))


def notebook_row(path: Path) -> str:
    """A row of the table: title and times of the notebook's first cell, and the words of AFTERWARDS."""
    text = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    title = re.search(r"^# (.+)$", text, flags=re.MULTILINE)[1]
    facts = re.search(r"^\*\*(.+?)\*\*$", text, flags=re.MULTILINE | re.DOTALL)
    times = [fact.removeprefix("Time ") for fact in (facts[1].split(" · ") if facts else ()) if "min" in fact]
    link = f"[{title}](notebooks/{path.name})"
    return f"| {link} | {', '.join(times)} | {AFTERWARDS.get(path.stem.split('_')[0], '')} |"


def _with_section(readme: str, begin: str, end: str, section: str) -> str:
    if begin not in readme or end not in readme:
        raise ValueError(f"README.md must contain the lines {begin!r} and {end!r}")
    head, rest = readme.split(begin, 1)
    return f"{head}{begin}\n{section}\n{end}{rest.split(end, 1)[1]}"


def tree() -> list[str]:
    """The lines of the tree, the names in one column and the phrases in another."""
    entries = list(project_entries())
    column = max(len(name) for name, _ in entries) + 2
    lines = []
    for name, phrase in entries:
        wrapped = textwrap.wrap(phrase, WIDTH - column, break_on_hyphens=False) or [""]
        lines += [f"{name:{column}}{wrapped[0]}".rstrip(), *(" " * column + more for more in wrapped[1:])]
    return lines


def project_entries() -> Iterator[tuple[str, str]]:
    """Indented names and phrases: the folders of the project, the package with all its files."""
    for name, phrase in FOLDERS.items():
        yield f"{name}/", phrase
        if name == PACKAGE.name:
            yield from package_entries(PACKAGE, depth=1)


def package_entries(folder: Path, depth: int) -> Iterator[tuple[str, str]]:
    """Indented names and phrases of one folder of the package, files before folders."""
    indent = "  " * depth
    for path in listing(folder):
        key = path.relative_to(PACKAGE).as_posix()
        if path.is_dir():
            yield f"{indent}{path.name}/", STATIC.get(key) or phrase_of(path / "__init__.py")
            yield from package_entries(path, depth + 1)
        elif path.stem != "__init__":
            yield f"{indent}{path.name}", phrase_of(path)


def listing(folder: Path) -> list[Path]:
    """The files and folders to show: the package in the order of its floors, other folders by name, files first."""
    order = [name for floor in floors() for name in floor] if folder == PACKAGE else []
    found = [path for path in folder.iterdir() if path.suffix == ".py" or path.is_dir() and has_files(path)]
    rank = {name: number for number, name in enumerate(order)}
    return sorted(found, key=lambda path: (rank.get(path.stem, len(rank)), path.is_dir(), path.name))


def has_files(folder: Path) -> bool:
    """False for what an interpreter or an editor left behind."""
    return folder.name != "__pycache__" and any(path.is_file() for path in folder.iterdir())


def floors() -> tuple[tuple[str, ...], ...]:
    """The floors of the package, the lowest first, from the test that holds them."""
    for node in ast.parse(FLOORS.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "FLOORS":
            return ast.literal_eval(node.value)
    raise ValueError(f"{FLOORS.name} names no FLOORS")


def phrase_of(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    return first_sentence(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")


def first_sentence(docstring: str) -> str:
    """The first sentence of a text on one line, without its full stop; a full stop inside a name does not end it."""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"\.(?:\s|$)", paragraph)[0]


if __name__ == "__main__":
    sys.exit(main())
