"""The record of a run over many files: its settings and what is done, for a run that goes on.

Every process of a run adds a line to a journal of its own after each file; the main process joins the journals to one
record when a run begins and when it ends. A kill loses the file that was being worked on, and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam2nb.whole_file import PART, whole_file

VERSION = 2


@dataclass
class RunRecord:
    """The record of a run, NAME_run.json in the folder that the results are written to.

    settings: on which the results depend. done: by path, the size and time of change of an image or video, the sizes
    of its result files, and numbers about them. left_out: by path, why a file could not be read.
    """

    folder: Path
    name: str
    settings: dict[str, Any]
    done: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: Path, name: str, settings: Mapping[str, Any], resume: bool) -> RunRecord:
        """A new run; with `resume` the one whose record is in the folder, if there is one. For the main process.

        Raises ValueError if that record is damaged, or of a run with other settings.
        """
        run = cls(folder, name, json.loads(json.dumps(settings)))  # as a file gives them back
        if resume and run.file.is_file():
            run._read()
            run._read_journals()
        run.left_out.clear()  # they are tried again
        run._write()
        for journal in run._journals():
            journal.unlink()
        return run

    @property
    def file(self) -> Path:
        """The file of the record."""
        return self.folder / f"{self.name}_run.json"

    def has(self, source: Path) -> bool:
        """Whether a file is done: it has not changed since, and its results are there as they were written."""
        entry = self.done.get(source.as_posix())
        if entry is None or not source.exists() or entry["source"] != _stamp(source):
            return False
        return all(path.exists() and _size(path) == size for path, size in self._results(entry))

    def results_of(self, source: Path) -> list[Path]:
        """The result files of a file that is done."""
        return [path for path, _ in self._results(self.done[source.as_posix()])]

    def add(self, source: Path, files: Iterable[Path], process: int = 0, **facts: Any) -> None:
        """Note that a file is done, after its results are written. process: the number of the own process."""
        entry = {
            "source": _stamp(source),
            "files": {Path(os.path.relpath(file, self.folder)).as_posix(): _size(file) for file in files},
            **facts,
        }
        self.done[source.as_posix()] = entry
        self._note(process, {"path": source.as_posix(), "done": entry})

    def leave_out(self, source: Path, reason: str, process: int = 0) -> None:
        """Note that a file cannot be read."""
        self.left_out[source.as_posix()] = reason
        self._note(process, {"path": source.as_posix(), "left_out": reason})

    def finish(self, sources: Sequence[Path]) -> None:
        """Join the journals of all processes, when none of them works any more. For the main process.

        sources: those of the run; those of earlier runs stay in the record.
        """
        self._read_journals()
        given = [source.as_posix() for source in sources]
        earlier = sorted(self.done.keys() - set(given))
        self.left_out = {path: self.left_out[path] for path in given if path in self.left_out}
        ready = [path for path in [*earlier, *given] if path in self.done and path not in self.left_out]
        self.done = {path: self.done[path] for path in ready}
        self._write()
        for journal in self._journals():
            journal.unlink()
        self._remove_parts()

    def _read(self) -> None:
        try:
            known = json.loads(self.file.read_text(encoding="utf-8"))
            version, before, self.done = known["version"], dict(known["settings"]), dict(known["done"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.file} is damaged: delete it to begin anew ({error})") from None
        if version != VERSION:
            raise ValueError(f"{self.file} has version {version}, this sam2nb reads {VERSION}: leave out --resume")
        for name, value in self.settings.items():
            if before.get(name) != value:
                raise ValueError(
                    f"--resume: the run in {self.folder} had {name}={before.get(name)!r}, this one has {value!r}: "
                    "give the same options, another --out, or leave out --resume"
                )

    def _write(self) -> None:
        record = {"version": VERSION, "settings": self.settings, "done": self.done, "left_out": self.left_out}
        with whole_file(self.file) as part:
            part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def _journals(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.name}_run.*.jsonl"))

    def _note(self, process: int, line: Mapping[str, Any]) -> None:
        with (self.folder / f"{self.name}_run.{process}.jsonl").open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")

    def _read_journals(self) -> None:
        for journal in self._journals():
            for text in journal.read_text(encoding="utf-8").splitlines():
                try:
                    line = json.loads(text)
                except ValueError:
                    continue  # cut off by the kill: that file is worked on again
                if "done" in line:
                    self.done[line["path"]] = line["done"]
                else:
                    self.left_out[line["path"]] = line["left_out"]

    def _results(self, entry: Mapping[str, Any]) -> list[tuple[Path, Any]]:
        return [(self.folder / name, size) for name, size in entry["files"].items()]

    def _remove_parts(self) -> None:
        """Remove half-written results that a kill left behind."""
        results = {path for entry in self.done.values() for path, _ in self._results(entry)}
        for part in list(self.folder.rglob(f".*{PART}")):
            if part.with_name(part.name[1:].rsplit(".", 2)[0]) in results:
                part.unlink(missing_ok=True)


def _stamp(source: Path) -> list[int]:
    """The size and the time of change in nanoseconds; of a folder of frames the sum of sizes and the latest time."""
    files = [path for path in source.iterdir() if path.is_file()] if source.is_dir() else [source]
    status = [file.stat() for file in files]
    return [sum(one.st_size for one in status), max((one.st_mtime_ns for one in status), default=0)]


def _size(result: Path) -> int | list[int]:
    """The size of a file; of a folder the number of its files and the sum of their sizes."""
    if not result.is_dir():
        return result.stat().st_size
    sizes = [path.stat().st_size for path in result.iterdir() if path.is_file()]
    return [len(sizes), sum(sizes)]
