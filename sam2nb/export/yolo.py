"""YOLO segmentation labels: of one image, written and read, and a data set of the frames of a video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv
import yaml
from PIL import Image

from sam2nb.export.classes import YOLO_FILE, ClassNames, read_yolo_names, write_yolo_names
from sam2nb.masks.polygons import MIN_CORNERS, Polygon, join_holes
from sam2nb.masks.rle import as_rle, rle_from_mask, uncrop_rle
from sam2nb.predict.everything.records import Record, record_of_mask
from sam2nb.predict.video.session import FrameResult
from sam2nb.structures import UNNAMED
from sam2nb.whole_file import whole_file

DECIMALS = 6  # a hundredth of a pixel in an image of 10,000
JPEG_QUALITY = 95


def save_yolo(
    records: Sequence[Record],
    path: str | Path,
    class_id: int | None = None,
    names: Sequence[str] | None = None,
    tolerance: float = 0.0,
) -> Path:
    """Write masks as YOLO segmentation labels: one line per connected region, "class x1 y1 x2 y2 …" in 0..1.

    An outline runs through the centres of the outermost pixels; cuts of no width join holes to it.

    class_id: of all records. names: the class names in the order of their numbers, by default those of the data.yaml
    beside `path`; other names are added, and the file is written. Without any name, records keep the `class_id` that
    they were read with, or have 0. tolerance: how far outlines may be simplified, in pixels.
    """
    path = Path(path)
    known = read_yolo_names(path.parent) if names is None else list(names)
    classes = ClassNames(known)
    is_named = class_id is None and bool(known or any(record.get("class_name") for record in records))
    lines = []
    for record in records:
        number = class_id
        if number is None:
            number = classes.number(record.get("class_name")) if is_named else record.get("class_id", 0)
        lines += _lines(record["segmentation"], number, tolerance)
    with whole_file(path) as part:
        part.write_text("".join(lines), encoding="utf-8")
    if is_named and classes.names != read_yolo_names(path.parent):
        write_yolo_names(path.parent, classes.names)
    return path


def _lines(segmentation: Any, number: int, tolerance: float = 0.0) -> list[str]:
    """The lines of a mask, one for each connected region."""
    rle = as_rle(segmentation)
    (height, width), (x0, y0, x1, y1) = rle.size_hw, rle.box
    window = rle.window(x0, y0, x1 + 1, y1 + 1).astype(np.uint8)
    contours, tree = cv2.findContours(window, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if tolerance > 0:
        contours = [cv2.approxPolyDP(contour, tolerance, closed=True) for contour in contours]
    lines = []
    for index, holes in _regions(tree).items():
        ring = join_holes(Polygon(contours[index][:, 0], tuple(contours[hole][:, 0] for hole in holes)))
        ring = np.concatenate((ring, ring[-1:].repeat(max(MIN_CORNERS - len(ring), 0), axis=0)))
        corners = ((ring + (x0, y0)) / (width, height)).reshape(-1)
        lines.append(f"{number} {' '.join(f'{value:.{DECIMALS}f}' for value in corners)}\n")
    return lines


def _regions(tree: np.ndarray | None) -> dict[int, list[int]]:
    """The regions in OpenCV's tree of contours: the index of each outline, and those of its holes."""
    parents = [] if tree is None else tree[0, :, 3].tolist()
    regions: dict[int, list[int]] = {index: [] for index, parent in enumerate(parents) if parent < 0}
    for index, parent in enumerate(parents):
        if parent >= 0:
            regions[parent].append(index)
    return regions


def load_yolo(path: str | Path, size_hw: tuple[int, int]) -> list[Record]:
    """Read YOLO segmentation labels of an image of `size_hw`: one record per line, each with its `class_id`.

    It has a `class_name`, too, if there is a data.yaml beside the file. Raises ValueError that names the line.
    """
    records, names = [], dict(enumerate(read_yolo_names(Path(path).parent)))
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            class_id, corners = int(line.split()[0]), np.array(line.split()[1:], dtype=np.float64).reshape(-1, 2)
        except ValueError as error:
            raise ValueError(f"{str(path)!r}, line {number}: expected a class and pairs of numbers") from error
        if len(corners) < MIN_CORNERS or not ((corners >= 0) & (corners <= 1)).all():
            raise ValueError(f"{str(path)!r}, line {number}: expected three or more points between 0 and 1")
        known = {"class_name": names[class_id]} if names.get(class_id, UNNAMED) != UNNAMED else {}
        records.append(_record_of_polygon(corners, size_hw, class_id=class_id, **known))
    return records


def _record_of_polygon(corners: np.ndarray, size_hw: tuple[int, int], **known: Any) -> Record:
    """corners: (N, 2) as (x, y) in 0..1"""
    height, width = size_hw
    polygon = np.round(corners * (width, height)).astype(np.int32)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    mask = sv.polygon_to_mask(polygon - low, tuple(int(side) for side in high - low + 1))
    inside = mask[: height - low[1], : width - low[0]]
    return record_of_mask(uncrop_rle(rle_from_mask(inside), tuple(low.tolist()), size_hw), **known)


class YoloWriter:
    """A YOLO segmentation data set of the frames of a video: images/, labels/ and data.yaml, which trainers read.

    folder: is made if it does not exist. An object without a name is of the class "object".
    """

    def __init__(self, folder: str | Path, tolerance: float = 0.0) -> None:
        self.folder, self.tolerance = Path(folder), tolerance
        self._classes = ClassNames()
        for name in ("images", "labels"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def add(self, rgb: np.ndarray, result: FrameResult) -> None:
        """Write the image and the labels of one frame. rgb: (H, W, 3) uint8, the frame of the result."""
        lines = []
        for mask, name in zip((result.masks[:, 0] > 0).cpu().numpy(), result.names, strict=True):
            if mask.any():
                lines += _lines(mask, self._classes.number(name), self.tolerance)
        with whole_file(self.folder / "images" / f"{result.frame_idx:05d}.jpg") as part:
            Image.fromarray(rgb).save(part, format="JPEG", quality=JPEG_QUALITY)
        with whole_file(self.folder / "labels" / f"{result.frame_idx:05d}.txt") as part:
            part.write_text("".join(lines), encoding="utf-8")

    def close(self) -> None:
        """Write data.yaml."""
        names = self._classes.names or [UNNAMED]
        content = {"path": ".", "train": "images", "val": "images", "nc": len(names), "names": names}
        with whole_file(self.folder / YOLO_FILE) as part:
            part.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
