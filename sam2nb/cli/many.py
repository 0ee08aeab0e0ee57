"""Work on many files: skip those that are done, list those that cannot be read, share out the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sam2nb.cli.processes import Processes
from sam2nb.cli.report import Event
from sam2nb.cli.run_record import RunRecord
from sam2nb.media.folder import Found


class Outcome(NamedTuple):
    """A file that was worked on: the lines to print, the result files, and numbers for the record."""

    lines: Sequence[str]
    files: Sequence[Path]
    facts: Mapping[str, Any]


class LeftOut(ValueError):
    """Files that could not be read; all others are done."""


def work_through(
    found: Sequence[Found], record: RunRecord, processes: Processes, work: Callable[[Found], Outcome]
) -> Iterator[Event]:
    """Do the own part of what is not done yet, and note each file in the record; yields what to tell.

    record: of the run, begun by the main process. work: raises ValueError or FileNotFoundError for a file that cannot
    be read, which is left out. In the main process the record is whole at the end.
    """
    todo = processes.agree(lambda: [source for source in found if not record.has(source.path)])
    if processes.is_main:
        waiting = set(todo)
        yield from (Event(f"{source.path}: done before") for source in found if source not in waiting)
    for source in processes.share(todo):
        try:
            outcome = work(source)
        except (ValueError, FileNotFoundError) as error:
            reason = str(error) if str(source.path) in str(error) else f"{source.path}: {error}"
            record.leave_out(source.path, reason, processes.index)
            yield Event(f"{source.path}: left out", is_problem=True)
            continue
        record.add(source.path, outcome.files, processes.index, **outcome.facts)
        yield from map(Event, outcome.lines)
    processes.wait()
    if processes.is_main:
        record.finish([source.path for source in found])


def done(found: Sequence[Found], record: RunRecord) -> list[Found]:
    """Those of the files that are done."""
    return [source for source in found if source.path.as_posix() in record.done]


def check_all_read(record: RunRecord, count: int, processes: Processes) -> None:
    """Raise LeftOut if files were left out; the error lists them. count: the number of all.

    Of several processes the main one only prints the list: their launcher would take an error for a crash.
    """
    if not processes.is_main or not record.left_out:
        return
    lines = [f"  {reason}" for reason in record.left_out.values()]
    error = LeftOut("\n".join([f"{len(lines)} of {count} could not be read, the others are done:", *lines]))
    if processes.count == 1:
        raise error
    print(f"sam2nb: {error}", file=sys.stderr)
