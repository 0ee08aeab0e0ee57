"""Masks of everything mode as files, written and read: COCO json, YOLO outlines, label maps, overlays.

All functions work on run lengths, mask by mask, so that a large image with many masks needs little memory.
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

from sam2nb.masks.rle import as_rle, rle_from_mask, uncrop_rle
from sam2nb.media.images import ImageLike, to_rgb_uint8
from sam2nb.plotting import PALETTE
from sam2nb.predict.everything.records import BACKGROUND, Record, label_map, record_of_mask

KEPT_IN_COCO = ("predicted_iou", "point_coords", "stability_score", "crop_box")
FORMATS = ("coco", "yolo", "labels", "overlay")
YOLO_DECIMALS = 6  # a hundredth of a pixel in an image of 10,000
MIN_POLYGON_POINTS = 3
MASK_OPACITY, OUTLINE_OPACITY = 0.5, 1.0


def save_coco(records: Sequence[Record], path: str | Path, size_hw: tuple[int, int], file_name: str = "") -> Path:
    """Write the masks of one image as a COCO data set with run lengths; pycocotools reads it.

    size_hw: of the image. file_name: the image's name in the data set. Scores are kept as extra entries.
    """
    content = {
        "info": {"description": "made with sam2nb"},
        "images": [{"id": 1, "file_name": file_name, "height": size_hw[0], "width": size_hw[1]}],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [_annotation(record, number) for number, record in enumerate(records, start=1)],
    }
    return _write_text(path, json.dumps(content))


def _annotation(record: Record, number: int) -> dict[str, Any]:
    packed = as_rle(record["segmentation"]).to_coco()
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "area": int(record["area"]),
        "bbox": coco.toBbox(packed).tolist(),  # COCO counts the last pixel, the official record does not
        "segmentation": packed,
        **{key: record[key] for key in KEPT_IN_COCO if key in record},
    }


def load_coco(path: str | Path) -> tuple[list[Record], tuple[int, int]]:
    """Read the masks of the first image of a COCO file, run lengths or polygons: -> records, (height, width)

    Raises ValueError for a file without images.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not content.get("images"):
        raise ValueError(f"{str(path)!r} is not a COCO file: it lists no images")
    image = content["images"][0]
    size_hw = (int(image["height"]), int(image["width"]))
    records = []
    for annotation in content.get("annotations", []):
        if annotation["image_id"] != image["id"]:
            continue
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, list):
            segmentation = coco.merge(coco.frPyObjects(segmentation, *size_hw))
        known = {key: annotation[key] for key in KEPT_IN_COCO if key in annotation}
        records.append(record_of_mask(as_rle(segmentation), **known))
    return records, size_hw


def save_yolo(records: Sequence[Record], path: str | Path, class_id: int = 0) -> Path:
    """Write masks as YOLO segmentation labels: one line per connected region, "class x1 y1 x2 y2 …" in 0..1.

    The format holds outlines only: holes are filled, and regions of one or two pixels, which have none, are left out.
    """
    lines = []
    for record in records:
        rle = as_rle(record["segmentation"])
        (height, width), (x0, y0, x1, y1) = rle.size_hw, rle.box
        window = rle.window(x0, y0, x1 + 1, y1 + 1).astype(np.uint8)
        outlines, _ = cv2.findContours(window, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for outline in outlines:
            if len(outline) < MIN_POLYGON_POINTS:
                continue
            corners = (outline[:, 0] + (x0, y0)) / (width, height)
            lines.append(f"{class_id} " + " ".join(f"{value:.{YOLO_DECIMALS}f}" for value in corners.reshape(-1)))
    return _write_text(path, "".join(line + "\n" for line in lines))


def load_yolo(path: str | Path, size_hw: tuple[int, int]) -> list[Record]:
    """Read YOLO segmentation labels of an image of `size_hw`: one record per line, each with its `class_id`.

    Raises ValueError that names the line.
    """
    records = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            class_id, corners = int(line.split()[0]), np.array(line.split()[1:], dtype=np.float64).reshape(-1, 2)
        except ValueError as error:
            raise ValueError(f"{str(path)!r}, line {number}: expected a class and pairs of numbers") from error
        if len(corners) < MIN_POLYGON_POINTS or not ((corners >= 0) & (corners <= 1)).all():
            raise ValueError(f"{str(path)!r}, line {number}: expected three or more points between 0 and 1")
        records.append(_record_of_polygon(corners, size_hw, class_id))
    return records


def _record_of_polygon(corners: np.ndarray, size_hw: tuple[int, int], class_id: int) -> Record:
    """corners: (N, 2) as (x, y) in 0..1"""
    height, width = size_hw
    polygon = np.round(corners * (width, height)).astype(np.int32)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    mask = sv.polygon_to_mask(polygon - low, tuple(int(side) for side in high - low + 1))
    inside = mask[: height - low[1], : width - low[0]]
    return record_of_mask(uncrop_rle(rle_from_mask(inside), tuple(low.tolist()), size_hw), class_id=class_id)


def save_label_map(records: Sequence[Record], path: str | Path, size_hw: tuple[int, int]) -> Path:
    """Write a PNG whose pixels are 0 for background, else 1 + the index of the record; small masks are on top."""
    path = _prepare(path, (".png",))
    Image.fromarray(label_map(records, size_hw)).save(path)
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
    """The image with every mask in a colour and a thin outline, small masks on top: -> (H, W, 3) uint8"""
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
    return drawn


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


def to_detections(records: Sequence[Record]) -> sv.Detections:
    """Records as supervision's Detections, in the same order, with predicted IoU as confidence and masks as arrays."""
    if not records:
        return sv.Detections.empty()
    rles = [as_rle(record["segmentation"]) for record in records]
    is_scored = all("predicted_iou" in record for record in records)
    return sv.Detections(
        xyxy=np.array([rle.box for rle in rles], dtype=np.float32),
        mask=np.stack([rle.to_mask() for rle in rles]),
        confidence=np.array([r["predicted_iou"] for r in records], dtype=np.float32) if is_scored else None,
        class_id=np.zeros(len(records), dtype=int),
    )


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
