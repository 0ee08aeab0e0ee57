"""Masks of one image as files, written and read: COCO json, YOLO outlines, label maps, overlays.

All functions work on run lengths, mask by mask, so that a large image with many masks needs little memory. A record may
have a `class_name`, which goes into every file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv
from PIL import Image
from pycocotools import mask as coco

from sam2nb.export.classes import ClassNames, read_yolo_names, write_label_names, write_yolo_names
from sam2nb.export.detections import to_detections  # noqa: F401  (its home before)
from sam2nb.masks.rle import as_rle, rle_from_mask, uncrop_rle
from sam2nb.media.images import ImageLike, to_rgb_uint8
from sam2nb.plotting import PALETTE, draw_names
from sam2nb.predict.everything.records import BACKGROUND, Record, label_map, record_of_mask
from sam2nb.structures import UNNAMED

KEPT_IN_COCO = ("predicted_iou", "point_coords", "stability_score", "crop_box", "confidence", "track_id")
FORMATS = ("coco", "yolo", "labels", "overlay")
YOLO_DECIMALS = 6  # a hundredth of a pixel in an image of 10,000
MIN_POLYGON_POINTS = 3
MASK_OPACITY, OUTLINE_OPACITY = 0.5, 1.0


def save_coco(records: Sequence[Record], path: str | Path, size_hw: tuple[int, int], file_name: str = "") -> Path:
    """Write the masks of one image as a COCO data set with run lengths; pycocotools reads it.

    size_hw: of the image. file_name: the image's name in the data set. Scores are kept as extra entries. The class
    names of the records are the categories; those without one are of the category "object".
    """
    classes = ClassNames()
    annotations = [_annotation(record, number, classes) for number, record in enumerate(records, start=1)]
    content = {
        "info": {"description": "made with sam2nb"},
        "images": [{"id": 1, "file_name": file_name, "height": size_hw[0], "width": size_hw[1]}],
        "categories": classes.categories(),
        "annotations": annotations,
    }
    return _write_text(path, json.dumps(content))


def _annotation(record: Record, number: int, classes: ClassNames) -> dict[str, Any]:
    packed = as_rle(record["segmentation"]).to_coco()
    return {
        "id": number,
        "image_id": 1,
        "category_id": classes.number(record.get("class_name")) + 1,
        "iscrowd": 0,
        "area": int(record["area"]),
        "bbox": coco.toBbox(packed).tolist(),  # COCO counts the last pixel, the official record does not
        "segmentation": packed,
        **{key: record[key] for key in KEPT_IN_COCO if key in record},
    }


def load_coco(path: str | Path) -> tuple[list[Record], tuple[int, int]]:
    """Read the masks of the first image of a COCO file, run lengths or polygons: -> records, (height, width)

    A record has the name of its category as `class_name`, unless that is "object".
    Raises ValueError for a file without images.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not content.get("images"):
        raise ValueError(f"{str(path)!r} is not a COCO file: it lists no images")
    image = content["images"][0]
    size_hw = (int(image["height"]), int(image["width"]))
    names = {category["id"]: category["name"] for category in content.get("categories", [])}
    records = []
    for annotation in content.get("annotations", []):
        if annotation["image_id"] != image["id"]:
            continue
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, list):
            segmentation = coco.merge(coco.frPyObjects(segmentation, *size_hw))
        known = {key: annotation[key] for key in KEPT_IN_COCO if key in annotation}
        if names.get(annotation.get("category_id"), UNNAMED) != UNNAMED:
            known["class_name"] = names[annotation["category_id"]]
        records.append(record_of_mask(as_rle(segmentation), **known))
    return records, size_hw


def save_yolo(
    records: Sequence[Record], path: str | Path, class_id: int | None = None, names: Sequence[str] | None = None
) -> Path:
    """Write masks as YOLO segmentation labels: one line per connected region, "class x1 y1 x2 y2 …" in 0..1.

    The format holds outlines only: holes are filled, and regions of one or two pixels, which have none, are left out.

    class_id: of all records. names: the class names in the order of their numbers, by default those of the data.yaml
    beside `path`; other names are added, and the file is written. Without any name, records keep the `class_id` that
    they were read with, or have 0.
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
        lines += [f"{number} {outline}\n" for outline in _outlines(record)]
    _write_text(path, "".join(lines))
    if is_named and classes.names != read_yolo_names(path.parent):
        write_yolo_names(path.parent, classes.names)
    return path


def _outlines(record: Record) -> list[str]:
    """The outline of each connected region of a mask as text: "x1 y1 x2 y2 …" in 0..1"""
    rle = as_rle(record["segmentation"])
    (height, width), (x0, y0, x1, y1) = rle.size_hw, rle.box
    window = rle.window(x0, y0, x1 + 1, y1 + 1).astype(np.uint8)
    outlines, _ = cv2.findContours(window, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = [
        (outline[:, 0] + (x0, y0)) / (width, height) for outline in outlines if len(outline) >= MIN_POLYGON_POINTS
    ]
    return [" ".join(f"{value:.{YOLO_DECIMALS}f}" for value in points.reshape(-1)) for points in corners]


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
        if len(corners) < MIN_POLYGON_POINTS or not ((corners >= 0) & (corners <= 1)).all():
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


def save_label_map(records: Sequence[Record], path: str | Path, size_hw: tuple[int, int]) -> Path:
    """Write a PNG whose pixels are 0 for background, else 1 + the index of the record; small masks are on top.

    If records have class names, a .json of the same name tells those of the values.
    """
    path = _prepare(path, (".png",))
    Image.fromarray(label_map(records, size_hw)).save(path)
    if any(record.get("class_name") for record in records):
        names = {value: record.get("class_name") for value, record in enumerate(records, start=1)}
        write_label_names(path.with_suffix(".json"), names)
    return path


def load_label_map(path: str | Path) -> list[Record]:
    """Read a label map: one record for each number in it, smallest number first, each with its `label`.

    Pixels that were hidden by another mask are lost. Raises ValueError for an image in colour.
    """
    with Image.open(path) as image:
        labels = np.asarray(image)
    if labels.ndim != 2 or labels.dtype.kind not in "biu":
        raise ValueError(f"{str(path)!r} is not a label map: expected one whole number per pixel")
    numbers = np.unique(labels)
    return [record_of_mask(rle_from_mask(labels == n), label=int(n)) for n in numbers if n != BACKGROUND]


def draw_overlay(image: ImageLike, records: Sequence[Record]) -> np.ndarray:
    """The image with every mask in a colour and a thin outline, small masks on top, and the names of classes.

    -> (H, W, 3) uint8
    """
    rgb = to_rgb_uint8(image)
    labels = label_map(records, rgb.shape[:2])
    colors = np.array([sv.Color.from_hex(code).as_rgb() for code in PALETTE], dtype=np.float32)
    is_outline = np.zeros(labels.shape, dtype=bool)
    is_outline[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    is_outline[1:] |= labels[1:] != labels[:-1]
    drawn = rgb.copy()
    for row in range(len(labels)):  # row by row, to avoid a float copy of a large image
        covered = labels[row] != BACKGROUND
        opacity = np.where(is_outline[row, covered], OUTLINE_OPACITY, MASK_OPACITY)[:, None]
        paint = colors[(labels[row, covered] - 1) % len(colors)]
        drawn[row, covered] = (1 - opacity) * drawn[row, covered] + opacity * paint
    names = [record.get("class_name") for record in records]
    if not any(names):
        return drawn
    return draw_names(drawn, names, [as_rle(record["segmentation"]).box for record in records])


def save_overlay(image: ImageLike, records: Sequence[Record], path: str | Path) -> Path:
    """Write `draw_overlay` as PNG or JPEG."""
    path = _prepare(path, (".png", ".jpg", ".jpeg"))
    Image.fromarray(draw_overlay(image, records)).save(path)
    return path


def save_formats(
    records: Sequence[Record], image: str | Path, folder: str | Path, formats: Sequence[str] = ("coco", "overlay")
) -> list[Path]:
    """Write the masks of one image into a folder, each file named after the image, for example photo_coco.json.

    image: path of the image. formats: any of coco, yolo, labels, overlay. Raises ValueError for another format.
    """
    check_formats(formats)
    rgb, stem = to_rgb_uint8(image), Path(folder) / Path(image).stem
    size_hw = rgb.shape[:2]
    writers = {
        "coco": lambda: save_coco(records, f"{stem}_coco.json", size_hw, Path(image).name),
        "yolo": lambda: save_yolo(records, f"{stem}.txt"),  # YOLO finds labels by the name of the image
        "labels": lambda: save_label_map(records, f"{stem}_labels.png", size_hw),
        "overlay": lambda: save_overlay(rgb, records, f"{stem}_overlay.jpg"),
    }
    return [writers[name]() for name in formats]


def check_formats(formats: Sequence[str]) -> None:
    """Raise ValueError for a format that `save_formats` does not know."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"formats must be some of {', '.join(FORMATS)}, got {', '.join(unknown) or 'none'}")


def _prepare(path: str | Path, endings: tuple[str, ...]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise ValueError(f"path must end in {' or '.join(endings)}, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_text(path: str | Path, text: str) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
