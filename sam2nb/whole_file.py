"""Write a file whole or not at all: under a temporary name beside it, then renamed."""

from __future__ import annotations

import glob
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"  # suffix of the temporary name
LEFTOVER_SECONDS = 3600  # a temporary file that nobody wrote to for so long was left by a killed process


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to: it becomes `path` if the block succeeds, and is removed if it fails.

    The folder is made if it does not exist. Whoever reads `path` meanwhile finds the old file or none.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, f".{glob.escape(path.name)}.*{PART}")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file, whole or not at all, and return its path."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove the temporary files of a pattern that killed processes left in a folder."""
    for file in folder.glob(pattern):
        try:
            if time.time() - file.stat().st_mtime > LEFTOVER_SECONDS:
                file.unlink()
        except OSError:
            continue  # another process was faster, or owns it


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
