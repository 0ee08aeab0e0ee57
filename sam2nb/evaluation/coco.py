"""COCO instance annotations as labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sam2nb.evaluation.samples import LabelledImage, LabelledImages, check_size, images_in, read_rgb
from sam2nb.structures import UNNAMED


def is_coco(file: Path) -> bool:
    """Whether a file is a JSON with `images` and `annotations`."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def open_coco(file: Path, min_area: float) -> LabelledImages:
    """The images of a COCO JSON that have instances; the image files are beside it or in `images/` beside it.

    min_area: leave out instances whose area in pixels is not larger. Crowd regions are left out too.

    Raises ValueError for another kind of JSON, or if no instance is left.
    """
    content = json.loads(file.read_text())
    if "annotations" not in content:
        raise ValueError(f"{str(file)!r} is not a COCO json: it has no 'annotations'")
    folder = next((f for f in (file.parent, file.parent / "images") if images_in(f)), file.parent)
    category = {c["id"]: c["name"] for c in content.get("categories", ())}
    records = {record["file_name"]: record for record in content["images"]}
    annotations: dict[int, list[dict]] = {record["id"]: [] for record in records.values()}
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd", 0) and annotation.get("area", np.inf) > min_area:
            annotations.get(annotation["image_id"], []).append(annotation)
    names = tuple(sorted(name for name, record in records.items() if annotations[record["id"]]))
    if not names:
        raise ValueError(f"{str(file)!r} has no image with an instance larger than {min_area} pixels")

    def load(name: str) -> LabelledImage:
        image = read_rgb(folder / Path(name))
        pairs = []
        for annotation in annotations[records[name]["id"]]:
            mask = _decode(annotation["segmentation"], records[name])
            check_size(mask, image, folder / name)
            if mask.any():
                pairs.append((mask, category.get(annotation.get("category_id"), UNNAMED)))
        masks = np.stack([mask for mask, _ in pairs]) if pairs else np.zeros((0, *image.shape[:2]), dtype=bool)
        return LabelledImage(name, image, masks, tuple(label for _, label in pairs))

    return LabelledImages(str(file), names, load)


def _decode(segmentation: list | dict[str, Any], record: dict[str, Any]) -> NDArray[np.bool_]:
    """Polygons, uncompressed or compressed run lengths -> (H, W) bool"""
    height, width = record["height"], record["width"]
    if isinstance(segmentation, list):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(segmentation).astype(bool)
