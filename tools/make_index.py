"""Write notebooks/00_index.ipynb: what the notebooks are, how long they take, quizzes, and your progress.

python tools/make_index.py                                                 # from their first cells
python tools/run_notebooks.py --in-place notebooks/00_index.ipynb          # then execute it
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
INDEX = "00_index.ipynb"
LESSONS = "[0-9][0-9]*_*.ipynb"
HEAD = """\
# 0 · Start here

{facts}

The notebooks teach Segment Anything 2 from the first click to training. Begin with 01 and 02; after these, go where
you like. Each has exercises that check themselves, and solutions in `solutions/`.

{table}

Words that you do not know are in the [glossary](../GLOSSARY.md): our word, the word of the paper, Meta's name.
Whoever teaches finds timetables and talking points in the [instructor's guide](../INSTRUCTOR.md).
"""
START_NOTE = (
    "The first cell of every notebook is the same. It finds or installs `sam2nb`, fixes the seeds and picks your "
    "device."
)
PROGRESS_NOTE = "## Your progress\n\nRun this cell at any time: it shows which exercises you have solved."
PROGRESS = "from sam2nb.notebook import progress\n\nprogress()"
QUIZ_NOTE = "## Quizzes\n\nThree questions on each notebook. Unfold an answer to see whether it is right, and why."


def main() -> int:
    path = NOTEBOOKS / INDEX
    before = nbformat.read(path, as_version=4) if path.is_file() else None
    notebook = make_index(lessons())
    if before is not None and sources(before) == sources(notebook):
        print(f"{path.relative_to(ROOT)}: unchanged")
        return 0
    nbformat.write(notebook, path)
    print(f"{path.relative_to(ROOT)}: written; execute it with tools/run_notebooks.py --in-place")
    return 0


def lessons() -> list[Path]:
    """The notebooks of the course, in their order."""
    return [path for path in sorted(NOTEBOOKS.glob(LESSONS)) if path.name != INDEX]


def make_index(paths: list[Path]) -> nbformat.NotebookNode:
    """The index of some notebooks, not executed. It has the start cell of the first of them."""
    first = nbformat.read(paths[0], as_version=4)
    [start] = [cell.source for cell in first.cells if "bootstrap" in cell.metadata.get("tags", [])]
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    facts = "**Read 5 min · needs nothing before it**"
    cells = [
        markdown(HEAD.format(facts=facts, table="\n".join(rows(paths))).rstrip()),
        markdown(START_NOTE),
        code(start, metadata={"tags": ["bootstrap", "nbval-ignore-output"]}),
    ]
    if (ROOT / "sam2nb" / "notebook" / "progress.py").is_file():
        cells += [markdown(PROGRESS_NOTE), code(PROGRESS, metadata={"tags": ["nbval-ignore-output"]})]
    cells.append(markdown(QUIZ_NOTE))
    for number, path in enumerate(paths):
        name = path.name.split("_")[0]
        if not (ROOT / "sam2nb" / "notebook" / "questions" / f"{name}.json").is_file():
            continue
        cells.append(markdown(f"### {title(path)}"))
        cells.append(code(f'{"" if number else "from sam2nb.notebook import quiz" + chr(10) * 2}quiz("{name}")'))
    for number, cell in enumerate(cells):
        cell.id = f"index-{number:02}"  # the same at every run
    return nbformat.v4.new_notebook(cells=cells, metadata=first.metadata)


def rows(paths: list[Path]) -> list[str]:
    """The table of notebooks, as lines of Markdown."""
    lines = ["| notebook | time | afterwards you can |", "|:---|:---|:---|"]
    for path in paths:
        goals = re.findall(r"^\d+\. (.*?)[,.;]?$", first_cell(path), re.MULTILINE)
        text = "; ".join(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", goal).removesuffix(", and") for goal in goals)
        lines.append(f"| [{title(path)}]({path.name}) | {time(path)} | {text} |")
    return lines


def title(path: Path) -> str:
    """The title of a notebook: "1 · Set up"."""
    return first_cell(path).split("\n")[0].removeprefix("# ")


def time(path: Path) -> str:
    """The times that its second line states: "10 min", or "read 15 min, exercises 10 min"."""
    line = re.search(r"^\*\*(.*?)\*\*$", first_cell(path), re.MULTILINE | re.DOTALL)
    parts = [part.strip() for part in re.split("[·,]", line[1])] if line else []
    return ", ".join(part.removeprefix("Time ").lower() for part in parts if re.search(r"\d+ min", part))


def first_cell(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[0].source


def sources(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells]


if __name__ == "__main__":
    sys.exit(main())
