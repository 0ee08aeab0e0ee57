"""Reports: lines for people, one document for programs, whole or not at all."""

import json
from pathlib import Path

import pytest

from sam2nb.cli.report import Event, report_of, wrote


def test_without_a_document_the_lines_are_printed(capsys):
    with report_of("auto", None) as report:
        report.tell([Event("one"), Event("", {"masks": 1}), wrote(Path("a.png")), Event("two", is_problem=True)])
    printed = capsys.readouterr()
    assert printed.out == "one\nwrote a.png\n" and printed.err == "two\n"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_document_has_results_and_files(count, tmp_path, capsys):
    with report_of("track", tmp_path / "new" / "a.json") as report:
        report.tell(Event(f"frame {n}", {"frame": n}) for n in range(count))
        report.tell([wrote(tmp_path / "b.mp4")])
    document = json.loads((tmp_path / "new" / "a.json").read_text())
    assert document["command"] == "track" and document["results"] == [{"frame": n} for n in range(count)]
    assert document["files"] == [(tmp_path / "b.mp4").as_posix()]
    assert capsys.readouterr().out.count("frame") == count


def test_a_printed_document_has_the_output_for_itself(capsys):
    with report_of("info", Path("-")) as report:
        report.tell([Event("a line", {"name": "ä"})])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["results"] == [{"name": "ä"}] and printed.err == "a line\n"


@pytest.mark.parametrize("target", ["-", "a.json"])
def test_after_an_error_there_is_no_document(target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="half way"), report_of("auto", Path(target)) as report:
        report.tell([Event("", {"masks": 1})])
        raise ValueError("half way")
    assert capsys.readouterr().out == "" and not list(tmp_path.iterdir())
