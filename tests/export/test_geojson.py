"""GeoJSON of masks, read back by rasterio, which also reads the world file."""

import json

import numpy as np
import pytest
from PIL import Image

from sam2nb.export.geojson import read_world_file, save_geojson
from sam2nb.export.masks import save_formats
from sam2nb.masks.rle import rle_from_mask
from sam2nb.predict.everything.records import record_of_mask

WORLD = "0.5\n0.1\n0.1\n-0.5\n400000.25\n5700000.75\n"  # turned a little, half a metre a pixel


@pytest.fixture
def tile(tmp_path):
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "tile.png")
    (tmp_path / "tile.pgw").write_text(WORLD)
    return tmp_path / "tile.png"


@pytest.fixture
def mask():
    mask = np.zeros((30, 40), bool)
    mask[5:20, 8:30] = True
    mask[8:12, 10:20] = False  # a hole
    mask[25, 35] = True  # an island
    return mask


def test_the_masks_on_the_map_are_those_of_the_image(tile, mask, tmp_path):
    rasterio, features = pytest.importorskip("rasterio"), pytest.importorskip("rasterio.features")
    record = record_of_mask(rle_from_mask(mask), class_name="pond", predicted_iou=0.9)
    (path,) = save_formats([record], tile, tmp_path / "out", ["geojson"])
    (feature,) = json.loads(path.read_text())["features"]
    assert feature["properties"] == {"class_name": "pond", "area": int(mask.sum()), "predicted_iou": 0.9}
    with rasterio.open(tile) as source:
        found = features.rasterize([(feature["geometry"], 1)], source.shape, transform=source.transform)
    assert np.array_equal(found.astype(bool), mask)


def test_outlines_turn_left_and_holes_right(tile, mask, tmp_path):
    path = save_geojson([record_of_mask(rle_from_mask(mask))], tmp_path / "a.geojson", read_world_file(tile))
    (feature,) = json.loads(path.read_text())["features"]
    (outline, hole), (island,) = feature["geometry"]["coordinates"]
    for ring, sign in ((outline, 1), (hole, -1), (island, 1)):
        x, y = np.array(ring).T
        assert np.sign((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) == sign and ring[0] == ring[-1]


def test_without_a_world_file_the_coordinates_are_pixels(mask, tmp_path):
    path = save_geojson([record_of_mask(rle_from_mask(mask))], tmp_path / "a.geojson")
    (feature,) = json.loads(path.read_text())["features"]
    corners = np.concatenate([np.array(ring) for part in feature["geometry"]["coordinates"] for ring in part])
    assert corners.min(axis=0).tolist() == [8, -26] and corners.max(axis=0).tolist() == [36, -5]
    assert read_world_file(tmp_path / "none.png") is None


@pytest.mark.parametrize("name", ["tile.pgw", "tile.PGW", "tile.pngw", "tile.wld"])
def test_world_files_have_several_names(name, tmp_path):
    (tmp_path / name).write_text(WORLD.replace(".", ","))
    reference = read_world_file(tmp_path / "tile.png", crs="EPSG:25832")
    assert reference.matrix[:, 2] == pytest.approx([399999.95, 5700000.95])
    content = json.loads(save_geojson([], tmp_path / "a.geojson", reference).read_text())
    assert content["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::25832"


@pytest.mark.parametrize("text", ["", "1\n2\n3\n", "a\nb\nc\nd\ne\nf\n", "nan\n0\n0\n1\n0\n0\n"])
def test_a_damaged_world_file_is_named(text, tmp_path):
    (tmp_path / "tile.jgw").write_text(text)
    with pytest.raises(ValueError, match="tile.jgw' is not a world file: expected six numbers"):
        read_world_file(tmp_path / "tile.jpg")
