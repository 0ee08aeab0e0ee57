"""Files of many images together, made from the COCO file of each: polygons, CVAT, Label Studio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sam2nb.export.coco_merge import merge_coco
from sam2nb.export.cvat import save_cvat
from sam2nb.export.label_studio import save_label_studio
from sam2nb.export.masks import ImageRecords, load_coco_images

SET_FORMATS = ("polygons", "cvat", "labelstudio")  # besides "coco"
SET_FILES = {
    "coco": "coco.json",
    "polygons": "polygons.json",
    "cvat": "cvat.xml",
    "labelstudio": "labelstudio.json",
}


def save_sets(
    coco_files: Sequence[Path], folder: Path, formats: Sequence[str], prefix: str = "", tolerance: float = 0.0
) -> list[Path]:
    """Write one file per format from the COCO files of images or videos, in their order.

    formats: any of coco, polygons, cvat, labelstudio. prefix: of the names of the files in the folder. tolerance: of
    polygons, in pixels.
    """
    paths = {name: folder / f"{prefix}{SET_FILES[name]}" for name in formats}
    writers = {
        "coco": lambda path: merge_coco(coco_files, path),
        "polygons": lambda path: merge_coco(coco_files, path, tolerance=tolerance),
        "cvat": lambda path: save_cvat(_images(coco_files), path),
        "labelstudio": lambda path: save_label_studio(_images(coco_files), path),
    }
    return [writers[name](path) for name, path in paths.items()]


def _images(coco_files: Sequence[Path]) -> Iterator[ImageRecords]:
    for file in coco_files:
        yield from load_coco_images(file)
