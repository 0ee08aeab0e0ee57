"""The project's photographs, reference masks and clips, by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from sam2nb.resources import resource_dir


def data_dir() -> Path:
    """The folder with the sample data: $SAM2NB_DATA, else the one that comes with the package."""
    return Path(os.environ["SAM2NB_DATA"]) if os.environ.get("SAM2NB_DATA") else resource_dir("data")


def photo_names() -> list[str]:
    """The names that photo() accepts."""
    return sorted(path.stem for path in (data_dir() / "photos").glob("*.jpg"))


def photo(name: str) -> np.ndarray:
    """One of the project's photographs as HxWx3 uint8, for example photo("coffee")."""
    path = data_dir() / "photos" / f"{name}.jpg"
    if not path.is_file():
        raise ValueError(f"name must be one of {', '.join(photo_names())}; got {name!r}")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def photo_mask(name: str) -> np.ndarray:
    """The reference mask of an object in a photograph, (H, W) bool, for example photo_mask("coffee_cup")."""
    return photo_labels(name) > 0


def photo_labels(name: str) -> np.ndarray:
    """The reference label map of a photograph, (H, W) uint8: 0 background, then one value per object; e.g. "coins"."""
    folder = data_dir() / "photos" / "masks"
    path = folder / f"{name}.png"
    if not path.is_file():
        raise ValueError(f"name must be one of {', '.join(sorted(p.stem for p in folder.glob('*.png')))}; got {name!r}")
    with Image.open(path) as image:
        return np.asarray(image).astype(np.uint8)


def clip_names() -> list[str]:
    """The names that clip_path() accepts."""
    return sorted(_clips())


def clip_path(name: str) -> Path:
    """The file or folder of frames of one of the project's clips, for example clip_path("big_buck_bunny")."""
    clips = _clips()
    if name not in clips:
        raise ValueError(f"name must be one of {', '.join(sorted(clips))}; got {name!r}")
    return clips[name]


def _clips() -> dict[str, Path]:
    files = {path.stem: path for path in (data_dir() / "clips").glob("*.mp4")}
    folders = {path.parent.name: path for path in (data_dir() / "sample" / "clips").glob("*/frames")}
    return files | folders
