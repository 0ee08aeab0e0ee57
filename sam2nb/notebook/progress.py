"""Progress of a learner over all notebooks, and its export for teachers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sam2nb.media.progress import with_bar
from sam2nb.notebook.check import exercise_names
from sam2nb.notebook.records import FORMAT, Record, parsed, read
from sam2nb.notebook.show import table
from sam2nb.whole_file import write_text


def progress(*bar: Any, save: str | Path | None = None, learner: str = "") -> Iterable | None:
    """Show which exercises are solved: a row per notebook.

    save: also write all records as JSON, for a teacher: format, learner, solved, of, and exercises, each with attempts,
    hints and solved (the time of the first success, UTC, or null). learner: the name that goes into that file.
    bar: with items and a title, iterate with a progress bar instead, as `with_bar` does.
    """
    if bar:
        return with_bar(*bar)
    records = read()
    names = exercise_names()
    notebooks = sorted({name.split(".")[0] for name in names})
    rows = []
    for notebook in notebooks:
        own = [name for name in names if name.split(".")[0] == notebook]
        solved = [name for name in own if records.get(name, Record()).solved]
        hints = sum(records.get(name, Record()).hints for name in own)
        open_ones = ", ".join(name.split(".")[-1] for name in own if name not in solved)
        rows.append([notebook, f"{len(solved)} of {len(own)}", hints, open_ones or "none"])
    table(rows, ["notebook", "solved", "hints", "still open"])
    total = sum(bool(records.get(name, Record()).solved) for name in names)
    print(f"{total} of {len(names)} exercises solved")
    if save is not None:
        write_text(Path(save), exported(learner))
        print(f"written: {Path(save).name}")
    return None


def exported(learner: str = "") -> str:
    """All records as JSON text, in the form that `progress(save=…)` writes."""
    records, names = read(), exercise_names()
    exercises = {name: asdict(records.get(name, Record())) for name in names}
    solved = sum(bool(record["solved"]) for record in exercises.values())
    entry = {"format": FORMAT, "learner": learner, "solved": solved, "of": len(names), "exercises": exercises}
    return json.dumps(entry, indent=1) + "\n"


def collect(files: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Read the exported files of a class, best first: dicts with learner, solved, of, attempts and hints.

    A file without a learner's name goes by its own. Raises ValueError for a file of another form.
    """
    rows = []
    for path in map(Path, files):
        entry = parsed(path)
        records = [Record(**record) for record in entry["exercises"].values()]
        totals = {"attempts": sum(r.attempts for r in records), "hints": sum(r.hints for r in records)}
        solved = sum(bool(r.solved) for r in records)
        rows.append({"learner": entry["learner"] or path.stem, "solved": solved, "of": len(records), **totals})
    return sorted(rows, key=lambda row: (-row["solved"], row["learner"]))
