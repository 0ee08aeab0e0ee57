"""The image files of a folder, in natural order of their names."""

from __future__ import annotations

import re
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key that reads digits as numbers: frame2 before frame10."""
    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"(\d+)", name) if part]


def list_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, in natural order; hidden files are left out."""
    images = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    return sorted(images, key=lambda p: natural_key(p.name))
