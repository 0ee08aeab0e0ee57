"""The record of an `auto` run: its settings and the images that are done, for a run that goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam2nb.weights.whole_file import whole_file

NAME = "auto_run.json"  # in the folder that the masks are written to
VERSION = 1


@dataclass
class AutoRun:
    """The record of a run in its folder; it is written after every image.

    settings: on which the masks depend. done: by image, its size and time of change, and the sizes of its files.
    """

    folder: Path
    settings: dict[str, Any]
    done: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, folder: Path, settings: Mapping[str, Any], resume: bool) -> AutoRun:
        """A new run; with `resume` the one whose record is in the folder, if there is one.

        Raises ValueError if that record is damaged, or of a run with other settings.
        """
        run = cls(folder, json.loads(json.dumps(settings)))  # as a file gives them back
        if not resume or not run.file.is_file():
            return run
        try:
            known = json.loads(run.file.read_text(encoding="utf-8"))
            version, before, run.done = known["version"], dict(known["settings"]), dict(known["done"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{run.file} is damaged: delete it to begin anew ({error})") from None
        if version != VERSION:
            raise ValueError(f"{run.file} has version {version}, this sam2nb reads {VERSION}: leave out --resume")
        for name, value in run.settings.items():
            if before.get(name) != value:
                raise ValueError(
                    f"--resume: the run in {folder} had {name}={before.get(name)!r}, this one has {value!r}: "
                    "give the same options, another --out, or leave out --resume"
                )
        return run

    @property
    def file(self) -> Path:
        """The file of the record."""
        return self.folder / NAME

    def has(self, image: Path) -> bool:
        """Whether an image is done: it has not changed since, and its files are there as they were written."""
        entry = self.done.get(image.as_posix())
        if entry is None or not image.is_file() or entry["image"] != _stamp(image):
            return False
        files = {self.folder / name: size for name, size in entry["files"].items()}
        return all(file.is_file() and file.stat().st_size == size for file, size in files.items())

    def add(self, image: Path, files: Sequence[Path]) -> None:
        """Note that an image is done, and write the record."""
        self.done[image.as_posix()] = {
            "image": _stamp(image),
            "files": {file.relative_to(self.folder).as_posix(): file.stat().st_size for file in files},
        }
        record = {"version": VERSION, "settings": self.settings, "done": self.done}
        with whole_file(self.file) as part:
            part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _stamp(image: Path) -> list[int]:
    status = image.stat()
    return [status.st_size, status.st_mtime_ns]
