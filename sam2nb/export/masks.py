"""Masks of one image as files, written and read: COCO json, label maps, overlays, and others.

All functions work on run lengths, mask by mask, so that a large image with many masks needs little memory. A record may
have a `class_name`, which goes into every file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from sam2nb.export.classes import ClassNames, write_label_names
from sam2nb.export.detections import to_detections  # noqa: F401  (its home before)
from sam2nb.export.geojson import read_world_file, save_geojson
from sam2nb.export.yolo import load_yolo, save_yolo  # noqa: F401
from sam2nb.masks.polygons import coco_polygons
from sam2nb.masks.rle import Rle, as_rle, rle_from_mask
from sam2nb.media.images import ImageLike, to_rgb_uint8, write_image
from sam2nb.plotting import color_of, draw_names
from sam2nb.plotting.colors import colors_of_labels
from sam2nb.predict.everything.records import BACKGROUND, Record, label_map, record_of_mask
from sam2nb.structures import UNNAMED
from sam2nb.whole_file import write_text

KEPT_IN_COCO = ("predicted_iou", "point_coords", "stability_score", "crop_box", "confidence", "track_id")
FORMATS = ("coco", "yolo", "labels", "overlay", "geojson")
COCO_END = "_coco.json"  # of the names of COCO files
MASK_OPACITY, OUTLINE_OPACITY = 0.5, 1.0


def save_coco(
    records: Sequence[Record],
    path: str | Path,
    size_hw: tuple[int, int],
    file_name: str = "",
    tolerance: float | None = None,
) -> Path:
    """Write the masks of one image as a COCO data set; pycocotools reads it.

    size_hw: of the image. file_name: the image's name in the data set. tolerance: write polygons, simplified by at most
    so many pixels (0 is exact), in place of run lengths; see `segmentation_of`. Scores are kept as extra entries. The
    class names of the records are the categories; those without one are of the category "object".
    """
    classes = ClassNames()
    annotations = [_annotation(record, number, classes, tolerance) for number, record in enumerate(records, start=1)]
    content = {
        "info": {"description": "made with sam2nb"},
        "images": [{"id": 1, "file_name": file_name, "height": size_hw[0], "width": size_hw[1]}],
        "categories": classes.categories(),
        "annotations": annotations,
    }
    return write_text(path, json.dumps(content))


def _annotation(record: Record, number: int, classes: ClassNames, tolerance: float | None) -> dict[str, Any]:
    packed = as_rle(record["segmentation"]).to_coco()
    return {
        "id": number,
        "image_id": 1,
        "category_id": classes.number(record.get("class_name")) + 1,
        "iscrowd": 0,
        "area": int(record["area"]),
        "bbox": coco.toBbox(packed).tolist(),  # COCO counts the last pixel, the official record does not
        "segmentation": packed if tolerance is None else segmentation_of(as_rle(packed), tolerance),
        **{key: record[key] for key in KEPT_IN_COCO if key in record},
    }


def segmentation_of(rle: Rle, tolerance: float | None = None) -> dict[str, Any] | list[list[float]]:
    """A mask as COCO writes it: run lengths, or polygons with this tolerance in pixels.

    COCO has no holes; cuts of no width join them to their outlines, so that every reader leaves them out. Where a
    polygon would vanish, run lengths are kept.
    """
    return (coco_polygons(rle, tolerance) if tolerance is not None else []) or rle.to_coco()


class ImageRecords(NamedTuple):
    """The masks of one image of a COCO file."""

    records: list[Record]
    size_hw: tuple[int, int]
    file_name: str


def load_coco(path: str | Path) -> tuple[list[Record], tuple[int, int]]:
    """Read the masks of the first image of a COCO file, run lengths or polygons: -> records, (height, width)

    A record has the name of its category as `class_name`, unless that is "object".
    Raises ValueError for a file without images.
    """
    first = load_coco_images(path)[0]
    return first.records, first.size_hw


def load_coco_images(path: str | Path) -> list[ImageRecords]:
    """Read the masks of all images of a COCO file, as `load_coco` does those of the first."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not content.get("images"):
        raise ValueError(f"{str(path)!r} is not a COCO file: it lists no images")
    names = {category["id"]: category["name"] for category in content.get("categories", [])}
    images = {
        image["id"]: ImageRecords([], (int(image["height"]), int(image["width"])), image.get("file_name", ""))
        for image in content["images"]
    }
    for annotation in content.get("annotations", []):
        image = images.get(annotation["image_id"])
        if image is not None:
            image.records.append(_record_of_annotation(annotation, image.size_hw, names))
    return list(images.values())


def _record_of_annotation(annotation: dict[str, Any], size_hw: tuple[int, int], names: dict[int, str]) -> Record:
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        segmentation = coco.merge(coco.frPyObjects(segmentation, *size_hw))
    known = {key: annotation[key] for key in KEPT_IN_COCO if key in annotation}
    if names.get(annotation.get("category_id"), UNNAMED) != UNNAMED:
        known["class_name"] = names[annotation["category_id"]]
    return record_of_mask(as_rle(segmentation), **known)


def save_label_map(records: Sequence[Record], path: str | Path, size_hw: tuple[int, int]) -> Path:
    """Write a PNG whose pixels are 0 for background, else 1 + the index of the record; small masks are on top.

    If records have class names, a .json of the same name tells those of the values.
    """
    path = _prepare(path, (".png",))
    write_image(label_map(records, size_hw), path)
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


def draw_overlay(image: ImageLike, records: Sequence[Record], colors: Sequence[int] | None = None) -> np.ndarray:
    """The image with every mask in a colour and a thin outline, small masks on top, and the names of classes.

    colors: one index into the palette per record, by default chosen so that neighbours differ. -> (H, W, 3) uint8
    """
    rgb = to_rgb_uint8(image)
    labels = label_map(records, rgb.shape[:2])
    indices = np.asarray(colors_of_labels(rgb, labels, len(records)) if colors is None else colors, int)
    palette = np.array([color_of(index) for index in indices], dtype=np.float32).reshape(-1, 3)
    is_outline = np.zeros(labels.shape, dtype=bool)
    is_outline[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    is_outline[1:] |= labels[1:] != labels[:-1]
    drawn = rgb.copy()
    for row in range(len(labels)):  # row by row, to avoid a float copy of a large image
        covered = labels[row] != BACKGROUND
        opacity = np.where(is_outline[row, covered], OUTLINE_OPACITY, MASK_OPACITY)[:, None]
        paint = palette[labels[row, covered] - 1]
        drawn[row, covered] = (1 - opacity) * drawn[row, covered] + opacity * paint
    names = [record.get("class_name") for record in records]
    if not any(names):
        return drawn
    return draw_names(drawn, names, [as_rle(record["segmentation"]).box for record in records], indices)


def save_overlay(image: ImageLike, records: Sequence[Record], path: str | Path) -> Path:
    """Write `draw_overlay` as PNG or JPEG."""
    path = _prepare(path, (".png", ".jpg", ".jpeg"))
    write_image(draw_overlay(image, records), path)
    return path


def save_formats(
    records: Sequence[Record],
    image: str | Path,
    folder: str | Path,
    formats: Sequence[str] = ("coco", "overlay"),
    name: str | None = None,
    tolerance: float = 0.0,
) -> list[Path]:
    """Write the masks of one image into a folder, each file named after the image, for example photo_coco.json.

    image: path of the image. formats: any of coco, yolo, labels, overlay, geojson (on the map of the world file beside
    the image, else in pixels). name: in place of the image's, as in "pets/cat" for files in a folder "pets"; the COCO
    file then holds "pets/cat.jpg". tolerance: of outlines, in pixels.
    Raises ValueError for another format, and for a damaged world file.
    """
    check_formats(formats)
    path, rgb = Path(image), to_rgb_uint8(image)
    size_hw, name = rgb.shape[:2], name or path.stem
    stem = Path(folder) / name
    writers = {
        "coco": lambda: save_coco(records, f"{stem}{COCO_END}", size_hw, f"{name}{path.suffix}"),
        "yolo": lambda: save_yolo(records, f"{stem}.txt", tolerance=tolerance),  # found by the name of the image
        "labels": lambda: save_label_map(records, f"{stem}_labels.png", size_hw),
        "overlay": lambda: save_overlay(rgb, records, f"{stem}_overlay.jpg"),
        "geojson": lambda: save_geojson(records, f"{stem}.geojson", read_world_file(path), tolerance=tolerance),
    }
    return [writers[name]() for name in formats]


def check_formats(formats: Sequence[str], known: Sequence[str] = FORMATS) -> None:
    """Raise ValueError for a format that is not known, by default to `save_formats`."""
    unknown = [name for name in formats if name not in known]
    if unknown or not formats:
        raise ValueError(f"formats must be some of {', '.join(known)}, got {', '.join(unknown) or 'none'}")


def _prepare(path: str | Path, endings: tuple[str, ...]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise ValueError(f"path must end in {' or '.join(endings)}, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
