"""Records of a learner's exercises: attempts, hints and successes, kept in one small file.

The file is $SAM2NB_PROGRESS, else sam2nb/progress.json in the user's data folder; `SAM2NB_PROGRESS=off` keeps none, as
when notebooks run unattended, and the notebooks of solutions keep none either. Nothing is sent anywhere.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sam2nb.whole_file import write_text

VARIABLE, OFF = "SAM2NB_PROGRESS", "off"
FORMAT = 1  # of the file
SOLUTIONS = "solutions/"  # part of the path of notebooks whose answers are not the learner's

logger = logging.getLogger(__name__)


@dataclass
class Record:
    """The history of one exercise: wrong and right attempts, hints taken, and when it was first solved (UTC)."""

    attempts: int = 0
    hints: int = 0
    solved: str | None = None


def note_attempt(name: str, solved: bool) -> None:
    """Count an attempt; its first success is dated."""
    records = read()
    record = records.setdefault(name, Record())
    record.attempts += 1
    if solved and record.solved is None:
        record.solved = datetime.now(timezone.utc).isoformat(timespec="seconds")
    _write(records)


def note_hint(name: str, step: int) -> None:
    """Note that the hints of an exercise were shown up to this step."""
    records = read()
    record = records.setdefault(name, Record())
    record.hints = max(record.hints, step)
    _write(records)


def read() -> dict[str, Record]:
    """The records by exercise; empty where there is no file, or one that cannot be read."""
    path = progress_file()
    if path is None or not path.is_file():
        return {}
    try:
        return {name: Record(**record) for name, record in parsed(path)["exercises"].items()}
    except (OSError, ValueError) as problem:
        logger.warning("the progress in %s cannot be read (%s); counting starts again", path, problem)
        return {}


def progress_file() -> Path | None:
    """The file of records, or None if none is kept."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == OFF or SOLUTIONS in os.environ.get("JPY_SESSION_NAME", "").replace("\\", "/"):
        return None
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "sam2nb" / "progress.json"


def parsed(path: Path) -> dict[str, Any]:
    """The content of a progress file. Raises ValueError for a file of another form, OSError for none."""
    entry = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(entry, dict) or entry.get("format") != FORMAT or not isinstance(entry.get("exercises"), dict):
        raise ValueError(f"{path.name} is no progress file of format {FORMAT}")
    try:
        for record in entry["exercises"].values():
            Record(**record)
    except TypeError:
        raise ValueError(f"{path.name} has a record with other entries than attempts, hints and solved") from None
    return {"learner": "", **entry}


def _write(records: dict[str, Record]) -> None:
    path = progress_file()
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"format": FORMAT, "exercises": {name: asdict(record) for name, record in records.items()}}
        write_text(path, json.dumps(entry, indent=1) + "\n")
    except OSError as problem:  # a full or read-only disk must not stop a lesson
        logger.warning("progress is not kept: %s", problem)
