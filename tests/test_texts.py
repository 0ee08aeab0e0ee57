"""The glossary and the instructor's guide: names that exist, exercises that exist."""

from __future__ import annotations

import re
from pathlib import Path

from sam2nb.notebook import check

ROOT = Path(__file__).resolve().parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_rows_of_the_glossary_are_whole_and_no_word_comes_twice():
    rows = [line for line in read("GLOSSARY.md").splitlines() if line.startswith("| ") and "our word" not in line]
    words = [row.split("|")[1].strip() for row in rows]
    assert len(words) > 40 and len(set(words)) == len(words)
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4 and all(cells), row


def test_the_guide_has_every_notebook_with_all_that_a_teacher_needs():
    text = read("INSTRUCTOR.md")
    for path in sorted((ROOT / "notebooks").glob("0[1-8]_*.ipynb")):
        part = re.search(rf"^### {path.name[:2]} .*?(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        assert part, f"{path.name} is not in INSTRUCTOR.md"
        for heading in ("Aim", "Talking points", "Live cell", "Common wrong answers", "Cut"):
            assert f"- **{heading}**:" in part[0], f"{path.name}: {heading}"


def test_the_exercises_that_the_guide_names_exist(capsys):
    for name in re.findall(r"`(\d\d\.\w+)`", read("INSTRUCTOR.md")):
        check(name, ...)
        assert capsys.readouterr().out.strip().endswith("not attempted")
