"""Files of boxes: what a detector found in one image, as .csv or .json."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv

from sam2nb.predict.detections import CLASS_NAME
from sam2nb.structures import UNNAMED

CORNERS = (("x_min", "y_min", "x_max", "y_max"), ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
NAMES = ("class_name", "name", "label")
CLASS_IDS = ("class_id", "category_id", "class")
CONFIDENCES = ("confidence", "score")
TRACKER_IDS = ("tracker_id", "track_id")
NO_TRACK = -1  # of a detection without a tracker id among others that have one

Row = Mapping[str, Any]


def load_detections(path: str | Path, file_name: str | None = None) -> sv.Detections:
    """Read the boxes that a detector found in one image, from a .csv or .json file.

    Each row has a box, as x_min, y_min, x_max, y_max (or x1, y1, x2, y2) in pixels, and may have class_name,
    class_id, confidence and tracker_id. supervision's CSVSink and JSONSink write such files. A .json may also be in
    COCO's form, with annotations or as a list of results, boxes as [x, y, width, height].

    file_name: of the image in a COCO file with several.
    Raises FileNotFoundError, and ValueError that names the file and the row.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r} with the boxes of detections")
    if path.suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"boxes of detections are read from .csv or .json, got {path.name!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    rows = _coco_rows(path, content, file_name) if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} must hold a list of boxes, or be a COCO json")
    return _detections_of(path, rows)


def _coco_rows(path: Path, content: Row, file_name: str | None) -> list[Row]:
    """The annotations of one image, with the names of their categories."""
    images = content.get("images")
    if not images or "annotations" not in content:
        raise ValueError(f"{path} must hold a list of boxes, or be a COCO json with images and annotations")
    chosen = [image for image in images if len(images) == 1 or Path(image["file_name"]).name == file_name]
    if len(chosen) != 1:
        raise ValueError(f"{path} has {len(images)} images, and {len(chosen)} of them called {file_name!r}")
    names = {category["id"]: category["name"] for category in content.get("categories", [])}
    found = [row for row in content["annotations"] if row.get("image_id") == chosen[0]["id"]]
    return [{**row, "class_name": names.get(row.get("category_id"))} for row in found]


def _detections_of(path: Path, rows: Sequence[Row]) -> sv.Detections:
    if not rows:
        return sv.Detections.empty()
    images = {row["image_id"] for row in rows if "image_id" in row}
    if len(images) > 1:
        raise ValueError(f"{path} has boxes of {len(images)} images: keep those of one")
    boxes = np.array([_box(path, number, row) for number, row in enumerate(rows, start=1)], dtype=np.float32)
    names = [_first(row, NAMES) for row in rows]
    try:
        confidence = _column(rows, CONFIDENCES, float, float("nan"))
        class_id = _column(rows, CLASS_IDS, _whole, None)
        tracker_id = _column(rows, TRACKER_IDS, _whole, NO_TRACK)
    except ValueError as error:
        raise ValueError(f"{path}: confidence, class_id and tracker_id must be numbers ({error})") from None
    data = {CLASS_NAME: np.array([str(name or UNNAMED) for name in names])} if any(names) else {}
    return sv.Detections(xyxy=boxes, confidence=confidence, class_id=class_id, tracker_id=tracker_id, data=data)


def _box(path: Path, number: int, row: Row) -> list[float]:
    """The corners of a row: x1, y1, x2, y2"""
    try:
        if "bbox" in row:
            x, y, width, height = (float(value) for value in row["bbox"])
            box = [x, y, x + width, y + height]
        else:
            corners = next(keys for keys in CORNERS if all(key in row for key in keys))
            box = [float(row[key]) for key in corners]
        if not np.isfinite(box).all():
            raise ValueError
        return box
    except (StopIteration, TypeError, ValueError):
        raise ValueError(
            f"{path}, row {number}: expected numbers x_min, y_min, x_max, y_max, got {dict(row)}"
        ) from None


def _first(row: Row, keys: Sequence[str]) -> Any:
    """The first value that a row has under one of the keys, else None."""
    return next((row[key] for key in keys if row.get(key) not in (None, "")), None)


def _whole(value: Any) -> int:
    return int(float(value))


def _column(rows: Sequence[Row], keys: Sequence[str], kind: Any, missing: Any) -> np.ndarray | None:
    """The values of all rows; None if there are none, or if some are missing and nothing stands for them."""
    values = [_first(row, keys) for row in rows]
    if all(value is None for value in values) or (missing is None and None in values):
        return None
    return np.array([missing if value is None else kind(value) for value in values])
