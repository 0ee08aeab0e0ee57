"""CVAT annotations: the XML file "CVAT for images 1.1", for a task with the same images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np

from sam2nb.export.classes import ClassNames
from sam2nb.export.masks import ImageRecords
from sam2nb.masks.rle import as_rle
from sam2nb.predict.everything.records import Record
from sam2nb.structures import UNNAMED
from sam2nb.whole_file import whole_file


def save_cvat(images: Iterable[ImageRecords], path: str | Path) -> Path:
    """Write the masks of images, pixel by pixel with their holes, for "Upload annotations" of CVAT.

    The task must have labels of the class names, "object" for masks without one. In a video the masks of one object are
    a group.
    """
    root = xml.Element("annotations")
    xml.SubElement(root, "version").text = "1.1"
    labels = xml.SubElement(xml.SubElement(xml.SubElement(root, "meta"), "task"), "labels")
    classes = ClassNames()
    for number, image in enumerate(images):
        height, width = image.size_hw
        element = xml.SubElement(
            root, "image", id=str(number), name=image.file_name, width=str(width), height=str(height)
        )
        for record in image.records:
            if record["area"]:
                classes.number(record.get("class_name"))
                xml.SubElement(element, "mask", _mask(record))
    for name in classes.names or [UNNAMED]:
        label = xml.SubElement(labels, "label")
        xml.SubElement(label, "name").text = name
        xml.SubElement(label, "attributes")
    xml.indent(root)
    with whole_file(path) as part:
        xml.ElementTree(root).write(part, encoding="utf-8", xml_declaration=True)
    return Path(path)


def _mask(record: Record) -> dict[str, str]:
    """The attributes of a mask: its box, and the runs in it row by row, of background first."""
    rle = as_rle(record["segmentation"])
    x0, y0, x1, y1 = rle.box
    inside = rle.window(x0, y0, x1 + 1, y1 + 1).reshape(-1)
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=len(inside)).tolist()
    track = record.get("track_id")
    return {
        "label": record.get("class_name") or UNNAMED,
        "source": "auto",
        "occluded": "0",
        "rle": ", ".join(map(str, [0, *runs] if inside[0] else runs)),
        "left": str(x0),
        "top": str(y0),
        "width": str(x1 - x0 + 1),
        "height": str(y1 - y0 + 1),
        "z_order": "0",
        **({"group_id": str(track)} if isinstance(track, int) else {}),
    }
