"""Find the files that come with the package: `configs/`, `checkpoints/` and `data/`.

In a source tree these folders are beside the package, in an installed wheel inside it.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: str) -> Path:
    """The folder of this name that belongs to this copy of the package.

    Raises FileNotFoundError when the installation is incomplete.
    """
    for parent in (PACKAGE, PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"the folder {name!r} is missing beside or inside {PACKAGE}: reinstall sam2nb")
