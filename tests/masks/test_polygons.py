"""Polygons of masks: exact down to the pixel, with holes, for every reader; or simplified within a tolerance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from sam2nb.masks.polygons import coco_polygons, join_holes, polygons_of
from sam2nb.masks.rle import rle_from_mask
from tests.mask_cases import rectangle

masks = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans())


def area(ring: np.ndarray) -> float:
    x, y = ring.T
    return abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


@settings(max_examples=300, deadline=None)
@given(masks)
def test_pycocotools_reads_the_same_pixels(mask):
    rings = coco_polygons(rle_from_mask(mask))
    assert bool(rings) == bool(mask.any())
    if rings:
        assert np.array_equal(coco.decode(coco.merge(coco.frPyObjects(rings, *mask.shape))).astype(bool), mask)


@settings(max_examples=300, deadline=None)
@given(masks)
def test_outlines_without_their_holes_have_the_area_of_the_mask(mask):
    polygons = polygons_of(rle_from_mask(mask))
    assert sum(area(p.outline) - sum(map(area, p.holes)) for p in polygons) == mask.sum()
    assert sum(area(join_holes(p)) for p in polygons) <= mask.sum() + sum(area(h) for p in polygons for h in p.holes)


@settings(max_examples=200, deadline=None)
@given(masks)
def test_polygons_are_valid_for_gis_programs(mask):
    shapely = pytest.importorskip("shapely")
    parts = polygons_of(rle_from_mask(mask))
    shape = shapely.MultiPolygon([(part.outline, part.holes) for part in parts])
    assert shape.is_valid and shape.area == mask.sum()


def test_a_ring_has_corners_only():
    (polygon,) = polygons_of(rle_from_mask(rectangle((40, 60), 10, 5, 50, 30)))
    assert sorted(map(tuple, polygon.outline)) == [(10, 5), (10, 30), (50, 5), (50, 30)] and not polygon.holes


def test_a_simplified_disc_has_few_corners_and_nearly_the_same_pixels():
    rows, columns = np.mgrid[:200, :200]
    distance = np.hypot(rows - 99.5, columns - 99.5)
    ring = (distance < 90) & (distance > 40)
    (exact,), (simple,) = (polygons_of(rle_from_mask(ring), tolerance) for tolerance in (0, 2))
    assert len(simple.outline) < len(exact.outline) / 10 and len(simple.holes) == 1
    found = coco.decode(coco.merge(coco.frPyObjects(coco_polygons(rle_from_mask(ring), 2), 200, 200))).astype(bool)
    assert (found & ring).sum() / (found | ring).sum() > 0.96
    assert not coco_polygons(rle_from_mask(rectangle((9, 9), 4, 4, 5, 5)), 3)  # a speck vanishes
    with pytest.raises(ValueError, match="tolerance must be 0 or a positive number of pixels, got -1"):
        polygons_of(rle_from_mask(ring), -1)


def test_a_large_mask_with_many_holes_takes_little_time():
    mask = np.ones((2000, 3000), bool)
    mask[5::20, 5::20] = False
    (polygon,) = polygons_of(rle_from_mask(mask))
    assert len(polygon.holes) == 100 * 150
