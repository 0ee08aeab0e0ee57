"""GeoJSON of masks on a map: the polygons of an image with a world file, as GIS programs read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sam2nb.masks.polygons import polygons_of
from sam2nb.masks.rle import as_rle
from sam2nb.predict.everything.records import Record
from sam2nb.structures import UNNAMED
from sam2nb.whole_file import whole_file

HALF_A_PIXEL = 0.5  # a world file gives the centre of the first pixel
NUMBERS = 6  # in a world file
SCORES = ("predicted_iou", "stability_score", "confidence", "track_id")


class Georeference(NamedTuple):
    """Where the pixels of an image lie on a map.

    matrix: (2, 3), from (column, row, 1) of a pixel's corner to map coordinates. crs: the coordinate reference system,
    such as "EPSG:25832", if it is known.
    """

    matrix: np.ndarray
    crs: str | None = None


def read_world_file(image: str | Path, crs: str | None = None) -> Georeference | None:
    """Read the world file beside an image: tile.pgw, tile.pngw or tile.wld for tile.png, and so for other endings.

    crs: of the map; world files do not name it. -> None if there is no such file
    Raises ValueError for a file that does not hold six numbers.
    """
    image = Path(image)
    ending = image.suffix[1:]
    endings = (f"{ending[:1]}{ending[-1:]}w", f"{ending}w", "wld")
    candidates = [image.with_suffix(f".{name}") for end in endings for name in (end, end.upper())]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        return None
    try:
        values = [float(text.replace(",", ".")) for text in file.read_text(encoding="utf-8").split()]
    except ValueError:
        values = []
    if len(values) != NUMBERS or not np.isfinite(values).all():
        raise ValueError(f"{str(file)!r} is not a world file: expected six numbers, one per line")
    x_by_column, y_by_column, x_by_row, y_by_row, x, y = values
    matrix = np.array([[x_by_column, x_by_row, x], [y_by_column, y_by_row, y]])
    matrix[:, 2] -= HALF_A_PIXEL * (matrix[:, 0] + matrix[:, 1])
    return Georeference(matrix, crs)


def save_geojson(
    records: Sequence[Record], path: str | Path, reference: Georeference | None = None, tolerance: float = 0.0
) -> Path:
    """Write masks as GeoJSON: a feature for each, a MultiPolygon with holes; class name and scores as properties.

    reference: of the image, from `read_world_file`; None writes pixels, with y counted downwards as negative numbers,
    so that programs show the image upright. tolerance: how far outlines may be simplified, in pixels.
    """
    matrix = np.array([[1.0, 0, 0], [0, -1.0, 0]]) if reference is None else reference.matrix
    features = [_feature(record, number, matrix, tolerance) for number, record in enumerate(records, start=1)]
    content: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if reference is not None and reference.crs:
        name = f"urn:ogc:def:crs:{reference.crs.replace(':', '::')}"
        content["crs"] = {"type": "name", "properties": {"name": name}}
    with whole_file(path) as part:
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return Path(path)


def _feature(record: Record, number: int, matrix: np.ndarray, tolerance: float) -> dict[str, Any]:
    polygons = polygons_of(as_rle(record["segmentation"]), tolerance)
    parts = [[_ring(ring, matrix, is_hole) for is_hole, ring in _rings(polygon)] for polygon in polygons]
    scores = {key: record[key] for key in SCORES if key in record}
    properties = {"class_name": record.get("class_name") or UNNAMED, "area": int(record["area"]), **scores}
    geometry = {"type": "MultiPolygon", "coordinates": parts}
    return {"type": "Feature", "id": number, "geometry": geometry, "properties": properties}


def _rings(polygon: Any) -> list[tuple[bool, np.ndarray]]:
    return [(False, polygon.outline), *((True, hole) for hole in polygon.holes)]


def _ring(ring: np.ndarray, matrix: np.ndarray, is_hole: bool) -> list[list[float]]:
    """A closed ring on the map, outlines against the clock and holes with it, as the standard (RFC 7946) wants."""
    points = ring @ matrix[:, :2].T + matrix[:, 2]
    following = np.roll(points, -1, axis=0)
    turns_left = (points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum() > 0
    if turns_left == is_hole:
        points = points[::-1]
    return np.concatenate((points, points[:1])).tolist()
