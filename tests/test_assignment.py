"""Assignments for nbgrader made from the notebooks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.test_tools import ROOT, load_tool, write_notebook

STUB = 'def iou(first, second):\n    return ...  # your code\n\n\ncheck("02.iou", iou)'
SOLVED = STUB.replace("...  # your code", "(first & second).sum() / (first | second).sum()")


@pytest.fixture(scope="module")
def tool():
    return load_tool("assignment")


def run_cells(notebook: nbformat.NotebookNode) -> None:
    space = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "cell", "exec"), space)


@pytest.mark.parametrize(("source", "passes"), [(STUB, False), (SOLVED, True)])
def test_the_graded_cell_passes_only_if_the_exercise_is_solved(tool, tmp_path, source, passes):
    path = write_notebook(tmp_path / "02_x.ipynb", "from sam2nb.notebook import check", source)
    notebook = nbformat.read(path, as_version=4)
    assert tool.mark(notebook) == 1
    nbformat.validate(notebook)
    if passes:
        run_cells(notebook)
    else:
        with pytest.raises(AssertionError, match="02.iou: not attempted"):
            run_cells(notebook)


def test_answers_are_open_and_graded_cells_locked(tool):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(STUB)])
    tool.mark(notebook)
    answer, test = (cell.metadata["nbgrader"] for cell in notebook.cells)
    assert answer["solution"] and not answer["grade"] and not answer["locked"] and "points" not in answer
    assert test["grade"] and test["locked"] and test["points"] == 1 and not test["solution"]
    assert (answer["grade_id"], test["grade_id"]) == ("02-iou-answer", "02-iou-test")


def test_every_exercise_of_the_committed_notebooks_becomes_a_graded_cell(tool):
    marked = 0
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        calls = sum('check("' in cell.source for cell in notebook.cells if cell.cell_type == "code")
        assert tool.mark(notebook) == calls, path.name
        marked += calls
    assert marked >= 20


def test_nbgrader_reads_the_marks(tool):
    """The library's own schema, where it is installed (version 0.9.6 accepts the marks)."""
    format_of_nbgrader = pytest.importorskip("nbgrader.nbgraderformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(STUB)])
    tool.mark(notebook)
    format_of_nbgrader.MetadataValidator().validate_nb(notebook)


def test_a_class_is_printed_as_a_table(tmp_path):
    record = '{"format": 1, "learner": "Ada", "exercises": {"02.iou": {"attempts": 2, "hints": 1, "solved": "2026"}}}'
    (tmp_path / "ada.json").write_text(record)
    command = [sys.executable, str(Path("tools") / "assignment.py"), "--results", str(tmp_path / "ada.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["Ada", "1", "of", "1,", "2", "attempts,", "1", "hints"]
