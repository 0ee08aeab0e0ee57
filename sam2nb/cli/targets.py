"""Files that a command would overwrite: those that it reads, and those of the user."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def check_targets(sources: Iterable[Path | None], targets: Iterable[Path | None]) -> None:
    """Raise ValueError if a file or folder that is read is to be written, too, under whatever name."""
    read = [source for source in sources if source is not None]
    for target in targets:
        if target is not None and any(_is_same(source, target) for source in read):
            raise ValueError(f"{str(target)!r} is read and would be overwritten: give another name to write to")


def check_new(files: Iterable[Path]) -> None:
    """Raise ValueError for a file that exists."""
    for file in files:
        if file.exists():
            raise ValueError(
                f"{str(file)!r} exists and would be overwritten: give another --out, delete it, or add --resume if an "
                "earlier run wrote it"
            )


def _is_same(one: Path, other: Path) -> bool:
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return one.resolve() == other.resolve()
