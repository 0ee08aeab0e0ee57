"""Class names in files: COCO categories, the data.yaml of YOLO, names beside images of labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from sam2nb.structures import UNNAMED
from sam2nb.whole_file import whole_file

YOLO_FILE = "data.yaml"  # in the folder of the labels
PALETTE_FILE = "names.json"  # in a folder of palette images


class ClassNames:
    """Class names and their numbers, which count from 0 in the order in which the names came.

    An object without a name belongs to the class "object".
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(names)

    def number(self, name: str | None) -> int:
        """The number of a class; a name that is new gets the next one."""
        name = name or UNNAMED
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def categories(self) -> list[dict[str, Any]]:
        """As in a COCO file, where ids count from 1. There is at least one."""
        return [{"id": number, "name": name} for number, name in enumerate(self.names or [UNNAMED], start=1)]


def read_yolo_names(folder: str | Path) -> list[str]:
    """The class names of a folder of YOLO labels, in the order of their numbers, from its data.yaml; [] without one.

    Raises ValueError for a file without `names`, or with numbers that have gaps.
    """
    path = Path(folder) / YOLO_FILE
    names = _read_yaml(path).get("names", []) if path.is_file() else []
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list):
        raise ValueError(f"{path} must list `names` in the order of their numbers, got {names!r}")
    return [str(name) for name in names]


def write_yolo_names(folder: str | Path, names: Iterable[str]) -> Path:
    """Write class names into the data.yaml of a folder of YOLO labels; its other entries are kept."""
    path, names = Path(folder) / YOLO_FILE, list(names)
    content = _read_yaml(path) if path.is_file() else {}
    with whole_file(path) as part:
        text = yaml.safe_dump({**content, "names": names, "nc": len(names)}, sort_keys=False, allow_unicode=True)
        part.write_text(text, encoding="utf-8")
    return path


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must be a mapping with `names`, got {type(content).__name__}")
    return content


def write_label_names(path: str | Path, names: Mapping[int, str | None]) -> Path:
    """Write what the values of label images mean, as JSON: {"1": "cat", "2": "object"}."""
    with whole_file(Path(path)) as part:
        meanings = {str(value): name or UNNAMED for value, name in names.items()}
        part.write_text(json.dumps(meanings, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return Path(path)
