import numpy as np
import pytest
from PIL import Image

from sam2nb.training.data.cutouts import (
    TEXTURE_SIDE,
    collect_cutouts,
    collect_textures,
    open_cutouts,
    read_cutout,
    shrink_to_fit,
)


def disc(path, radius=80, side=300):
    y, x = np.mgrid[:side, :side] - side / 2
    rgba = np.full((side, side, 4), 200, np.uint8)
    rgba[..., 3] = np.where(x**2 + y**2 < radius**2, 255, 0)
    Image.fromarray(rgba).save(path)
    return path


def test_a_cutout_is_trimmed_and_an_opaque_image_is_none(tmp_path):
    assert read_cutout(disc(tmp_path / "disc.png")).shape[:2] == (159, 159)
    Image.new("RGB", (200, 200)).save(tmp_path / "card.png")
    assert read_cutout(tmp_path / "card.png") is None


def test_a_source_has_its_share_however_many_files_it_has(tmp_path):
    files = [(disc(tmp_path / f"{i}.png"), 0.75 if i == 0 else 0.25) for i in range(4)]
    (tmp_path / "broken.png").write_bytes(b"not an image")
    assert collect_cutouts([*files, (tmp_path / "broken.png", 0.25)], tmp_path / "out") == 4
    weights = open_cutouts(tmp_path / "out").weights
    assert np.allclose(weights, [0.75, *[0.25 / 3] * 3])
    held_out = open_cutouts(tmp_path / "out").only(np.array([False, True, True, False]))
    assert np.allclose(held_out.weights, [0, 0.5, 0.5, 0])


def test_a_large_cutout_is_shrunk_to_256_pixels_and_a_small_one_stays(tmp_path):
    assert read_cutout(disc(tmp_path / "disc.png", radius=400, side=1000)).shape == (256, 256, 4)
    small = np.zeros((30, 20, 4), np.uint8)
    assert shrink_to_fit(small) is not None and shrink_to_fit(small).shape == (30, 20, 4)


def test_files_without_any_cutout_are_refused(tmp_path):
    Image.new("RGB", (200, 200)).save(tmp_path / "card.png")
    with pytest.raises(ValueError, match="none of 1 files is a usable cut-out"):
        collect_cutouts([(tmp_path / "card.png", 1.0)], tmp_path / "out")


def test_missing_cutouts_say_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="--prepare"):
        open_cutouts(tmp_path)


def test_only_large_colourful_bright_textures_are_kept(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (220, 220, 3), dtype=np.uint8)
    for name, array in (("good", noise), ("small", noise[:100]), ("plain", noise * 0 + 99), ("dark", noise // 20)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"not an image")
    paths = sorted(tmp_path.glob("*.png"))
    assert collect_textures(paths, tmp_path / "out" / "textures.npy") == 1
    assert np.load(tmp_path / "out" / "textures.npy").shape == (1, TEXTURE_SIDE, TEXTURE_SIDE, 3)
