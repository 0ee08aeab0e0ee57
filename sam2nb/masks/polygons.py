"""Polygons of masks: outlines with holes along the borders of pixels, exact or simplified.

A pixel at column x and row y is the square from (x, y) to (x + 1, y + 1), so that a polygon encloses exactly the
pixels of its mask, down to a single one.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from scipy.spatial import cKDTree

from sam2nb.masks.rle import Rle

SIDES_TOUCH = 4  # OpenCV connectivity: regions that meet at a corner only are polygons of their own
MIN_CORNERS = 3


class Polygon(NamedTuple):
    """A region with its holes. outline, holes: rings (N, 2) of corners as (x, y) in pixels, not closed."""

    outline: np.ndarray
    holes: tuple[np.ndarray, ...] = ()


def polygons_of(rle: Rle, tolerance: float = 0.0) -> list[Polygon]:
    """The polygons of a mask, one for each connected region, with float64 corners; [] for an empty mask.

    tolerance: how far in pixels a simplified outline may be from the exact one; regions and holes that vanish are left
    out. 0 is exact.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance must be 0 or a positive number of pixels, got {tolerance!r}")
    x0, y0, x1, y1 = rle.box
    window = rle.window(x0, y0, x1 + 1, y1 + 1).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(window, connectivity=SIDES_TOUCH)
    polygons = []
    for label in range(1, count):
        left, top, width, height = stats[label, :4]
        part = labels[top : top + height, left : left + width] == label
        polygons += _polygons_of_region(part, np.array((x0 + left, y0 + top), np.float64), tolerance)
    return polygons


def _polygons_of_region(region: np.ndarray, corner_xy: np.ndarray, tolerance: float) -> list[Polygon]:
    """region: (H, W) bool, connected. corner_xy: position of its upper left pixel in the image."""
    doubled = np.repeat(np.repeat(region.astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outline, holes = None, []
    for contour, (_, _, _, parent) in zip(contours, tree.reshape(-1, 4), strict=True):
        # the doubled pixels beside a border, 2x - 1 and 2x, both become its coordinate x
        ring = _simplified((contour[:, 0].astype(np.int64) + 1) // 2, tolerance)
        if len(ring) < MIN_CORNERS:
            continue
        if parent < 0:
            outline = ring + corner_xy
        else:
            holes.append(ring + corner_xy)
    return [] if outline is None else [Polygon(outline, tuple(holes))]


def _simplified(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """A ring without repeated corners and those on straight sides; with a tolerance by Douglas and Peucker."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    ring = ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    if tolerance > 0 and len(ring) > MIN_CORNERS:
        ring = cv2.approxPolyDP(ring.astype(np.int32)[:, None], tolerance, closed=True)[:, 0]
    return ring


def join_holes(polygon: Polygon) -> np.ndarray:
    """One ring for an outline and its holes, for formats without holes: cuts of no width lead to each: (N, 2)

    Each cut joins the two nearest corners, so that it stays inside the polygon.
    """
    ring = polygon.outline
    for hole in sorted(polygon.holes, key=lambda hole: hole[:, 0].min()):
        distances, nearest = cKDTree(ring).query(hole)
        there = int(distances.argmin())
        here = int(nearest[there])
        around = np.concatenate((hole[there:], hole[: there + 1]))
        ring = np.concatenate((ring[: here + 1], around, ring[here:]))
    return ring


def coco_polygons(rle: Rle, tolerance: float = 0.0) -> list[list[float]]:
    """The polygons of a mask as COCO writes them, [[x1, y1, x2, y2, …], …], with holes joined to their outlines."""
    return [join_holes(polygon).reshape(-1).tolist() for polygon in polygons_of(rle, tolerance)]
