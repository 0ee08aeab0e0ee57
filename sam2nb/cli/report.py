"""The report of a command: lines for people, or with --json one document for programs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from sam2nb.predict.video.session import FrameResult

STANDARD_OUTPUT = "-"


class Event(NamedTuple):
    """Something to tell: a line of text; for --json also a result, or a file that was written.

    is_problem: printed to the standard error, whatever is printed to the standard output.
    """

    text: str
    result: Mapping[str, Any] | None = None
    file: Path | None = None
    is_problem: bool = False

    def __str__(self) -> str:
        return self.text


def wrote(file: Path) -> Event:
    """Tell of a file or folder that was written."""
    return Event(f"wrote {file}", file=file)


def path_of(file: Path) -> Event:
    """Tell of the one file that a command makes: its path alone, which other commands can use."""
    return Event(str(file), file=file)


def objects_of(result: FrameResult) -> list[dict[str, Any]]:
    """The objects of a frame for --json: id, name, predicted IoU, presence, area, and run lengths."""
    from sam2nb.export.tracks import scores_of
    from sam2nb.masks.rle import rle_from_mask

    objects = []
    for row, (obj_id, mask) in enumerate(zip(result.obj_ids, (result.masks[:, 0] > 0).cpu().numpy(), strict=True)):
        rle = rle_from_mask(mask)
        known = {"id": obj_id if isinstance(obj_id, str) else int(obj_id), "name": result.names[row]}
        objects.append({**known, **scores_of(result, row), "area": rle.area, "segmentation": rle.to_coco()})
    return objects


class Report:
    """Tells events as they come.

    document: where results go, None without --json. is_printed: print the lines to the standard error, because the
    document goes to the standard output.
    """

    def __init__(self, document: IO[str] | None = None, is_printed: bool = False) -> None:
        self.document, self.is_printed = document, is_printed
        self._results, self._files = 0, []

    def tell(self, events: Iterable[Event]) -> None:
        """Print the lines of events, and write their results into the document."""
        for event in events:
            if event.text:
                typer.echo(event.text, err=event.is_problem or self.is_printed)
            if event.file is not None:
                self._files.append(event.file.as_posix())
            if event.result is not None and self.document is not None:
                self.document.write((",\n" if self._results else "\n") + json.dumps(event.result))
                self._results += 1

    def open(self, command: str) -> None:
        """Begin the document."""
        if self.document is not None:
            self.document.write(f'{{"command": {json.dumps(command)}, "results": [')

    def close(self) -> None:
        """End the document with the files that were written."""
        if self.document is not None:
            self.document.write(f'\n], "files": {json.dumps(self._files)}}}\n')


@contextmanager
def report_of(command: str, json_file: Path | None) -> Iterator[Report]:
    """Yield the report of a command. json_file: of --json; "-" prints the document, and the lines beside it.

    The document comes whole or, after an error, not at all.
    """
    if json_file is None:
        yield Report()
        return
    with json_target(json_file) as path, path.open("w", encoding="utf-8") as document:
        report = Report(document, is_printed=is_printed(json_file))
        report.open(command)
        yield report
        report.close()


@contextmanager
def json_target(json_file: Path) -> Iterator[Path]:
    """Yield a path to write to, for --json. It becomes the file, or is printed, unless there is an error."""
    from sam2nb.whole_file import whole_file

    if not is_printed(json_file):
        with whole_file(json_file) as part:
            yield part
        return
    with tempfile.TemporaryDirectory() as folder:
        yield (path := Path(folder) / "document.json")
        with path.open(encoding="utf-8") as document:
            shutil.copyfileobj(document, sys.stdout)


def is_printed(json_file: Path | None) -> bool:
    """Whether the document of --json goes to the standard output."""
    return json_file is not None and str(json_file) == STANDARD_OUTPUT
