"""Make assignments for nbgrader from the notebooks: each exercise becomes an answer cell and a graded cell.

    python tools/assignment.py notebooks/02*.ipynb --out source/ps2      # then: nbgrader generate_assignment ps2
    python tools/assignment.py --results submitted/*.json                # exported progress of a class as a table

The graded cell calls `require`, which raises unless the exercise is solved, so that nbgrader gives its points or none.
`otter run` and any other grader that executes cells can use the same call.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
CHECK = re.compile(r'^check\((".*?"),', re.MULTILINE)
SCHEMA = 3  # of nbgrader's metadata
POINTS = 1  # of an exercise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="notebooks, or with --results exported progress files")
    parser.add_argument("--out", type=Path, default=Path("source"), help="folder of the assignment, default source/")
    parser.add_argument("--results", action="store_true", help="print a table of progress files")
    options = parser.parse_args()
    if options.results:
        sys.path.insert(0, str(ROOT))
        from sam2nb.notebook import collect

        for row in collect(options.files):
            tries = f"{row['attempts']:>4} attempts, {row['hints']} hints"
            print(f"{row['learner']:<24}{row['solved']:>3} of {row['of']}, {tries}")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.files:
        notebook = nbformat.read(path, as_version=4)
        count = mark(notebook)
        nbformat.write(notebook, options.out / path.name)
        print(f"{path.name}: {count} graded exercises")
    return 0


def mark(notebook: nbformat.NotebookNode) -> int:
    """Split every exercise into an answer cell and a graded cell; returns their number."""
    cells = []
    for cell in notebook.cells:
        found = CHECK.search(cell.source) if cell.cell_type == "code" else None
        if found is None:
            cells.append(cell)
            continue
        name = found.group(1).strip('"')
        graded = nbformat.v4.new_code_cell(graded_source(cell.source[found.start() :]))
        cell.metadata["nbgrader"] = marks(f"{name}.answer", solution=True)
        graded.metadata["nbgrader"] = marks(f"{name}.test", grade=True)
        cells += [cell, graded]
    exercises = len(cells) - len(notebook.cells)
    notebook.cells = cells
    return exercises


def graded_source(call: str) -> str:
    """`check(…)` and what follows it -> the cell that calls `require` with the same arguments."""
    return "from sam2nb.notebook import require\n\n" + call.replace("check(", "require(", 1)


def marks(grade_id: str, *, grade: bool = False, solution: bool = False) -> dict:
    """nbgrader's metadata of one cell."""
    entry = {"grade": grade, "grade_id": grade_id.replace(".", "-"), "locked": grade, "schema_version": SCHEMA}
    entry |= {"solution": solution, "task": False}
    return entry | ({"points": POINTS} if grade else {})


if __name__ == "__main__":
    sys.exit(main())
