"""Records of exercises, the table of progress, and what a teacher collects."""

from __future__ import annotations

import json

import pytest

from sam2nb import notebook
from sam2nb.notebook.records import Record, progress_file, read


def solve_one(printed) -> None:
    notebook.check("01.covered", lambda mask: mask.sum())
    notebook.check("01.covered", lambda mask: mask.mean())
    notebook.check("01.covered", ...)
    notebook.hint("02.iou", 2)
    printed()


def test_attempts_successes_and_hints_are_counted_and_stubs_are_not(printed):
    solve_one(printed)
    records = read()
    assert records["01.covered"].attempts == 2 and records["01.covered"].solved.endswith("+00:00")
    assert records["02.iou"] == Record(attempts=0, hints=2, solved=None)


def test_the_time_of_the_first_success_stays(printed):
    solve_one(printed)
    first = read()["01.covered"].solved
    notebook.check("01.covered", lambda mask: mask.mean())
    notebook.check("01.covered", lambda mask: 0)
    assert read()["01.covered"].solved == first and read()["01.covered"].attempts == 4


def test_progress_shows_a_row_for_each_notebook_and_what_is_open(printed):
    solve_one(printed)
    notebook.progress()
    lines = printed().splitlines()
    assert lines[1].split()[:4] == ["01", "1", "of", "2"] and lines[1].endswith("cup_click")
    assert lines[-1].startswith("1 of ") and lines[-1].endswith(" exercises solved")


def test_a_teacher_collects_what_learners_save(tmp_path, printed, monkeypatch):
    notebook.progress(save=tmp_path / "nobody.json")
    solve_one(printed)
    notebook.progress(save=tmp_path / "ada.json", learner="Ada")
    entry = json.loads((tmp_path / "ada.json").read_text())
    assert entry["learner"] == "Ada" and entry["solved"] == 1 and len(entry["exercises"]) == entry["of"]
    rows = notebook.collect(tmp_path.glob("*.json"))
    assert [(row["learner"], row["solved"], row["attempts"], row["hints"]) for row in rows] == [
        ("Ada", 1, 2, 2),
        ("nobody", 0, 0, 0),
    ]
    (tmp_path / "other.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="other.json is no progress file"):
        notebook.collect([tmp_path / "other.json"])


def test_a_damaged_file_is_told_and_counting_starts_again(caplog, printed):
    progress_file().write_text("{")
    assert read() == {} and "counting starts again" in caplog.text
    solve_one(printed)
    assert read()["01.covered"].attempts == 2


def test_no_records_are_kept_unattended_or_in_solutions(monkeypatch, printed):
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/notebooks/solutions/02_solutions.ipynb")
    assert progress_file() is None
    solve_one(printed)
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert read() == {}
    monkeypatch.setenv("SAM2NB_PROGRESS", "off")
    assert progress_file() is None


def test_a_folder_that_cannot_be_written_stops_no_lesson(tmp_path, monkeypatch, printed, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAM2NB_PROGRESS", str(tmp_path / "file" / "progress.json"))
    notebook.check("01.covered", lambda mask: mask.mean())
    assert printed() == "01.covered: correct" and "progress is not kept" in caplog.text


def test_with_items_progress_is_a_bar_as_before():
    assert list(notebook.progress(range(3), "counting")) == [0, 1, 2]
