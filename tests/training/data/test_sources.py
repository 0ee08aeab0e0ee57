import json
import subprocess
import tarfile

import numpy as np
import pytest
from PIL import Image

from sam2nb.training.data import sources
from sam2nb.training.data.cutouts import collect_cutouts, open_cutouts, read_cutout
from sam2nb.training.data.pack import pack
from sam2nb.training.data.sources import Source, fetch_sources, list_files
from sam2nb.training.data.teacher import open_labels

GOOD = Source("good@1.0", "npm", "MIT", "A", photos=("package/*.png",), exclude=("*/bad*",))
GONE = Source("gone", "apt", "CC0", "A")


def fake_download(source, folder):
    if source is GONE:
        raise subprocess.CalledProcessError(100, "apt-get", stderr="E: Unable to locate package gone")
    for name in ("one.png", "bad.png"):
        Image.new("RGB", (8, 8)).save(folder.parent / name)
    archive = folder / "good-1.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("one.png", "bad.png"):
            tar.add(folder.parent / name, f"package/{name}")
    return archive


def test_what_cannot_be_got_is_recorded_and_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", fake_download)
    manifest = fetch_sources(tmp_path, sources=(GOOD, GONE))
    assert len(manifest["good@1.0"]["sha256"]) == 64
    assert manifest["good@1.0"]["licence"] == "MIT"
    assert "Unable to locate" in manifest["gone"]["skipped"]
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest


def test_what_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", fake_download)
    fetch_sources(tmp_path, sources=(GOOD,))
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("fetched twice"))
    fetch_sources(tmp_path, sources=(GOOD,))


def test_nothing_at_all_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", fake_download)
    with pytest.raises(RuntimeError, match="no training source"):
        fetch_sources(tmp_path, sources=(GONE,))


def test_a_damaged_archive_is_skipped(tmp_path, monkeypatch):
    def broken(source, folder):
        (folder / "broken.tgz").write_bytes(b"not an archive")
        return folder / "broken.tgz"

    monkeypatch.setattr(sources, "_download", broken)
    with pytest.raises(RuntimeError, match="no training source"):
        fetch_sources(tmp_path, sources=(GOOD,))
    assert "skipped" in json.loads((tmp_path / "manifest.json").read_text())["good@1.0"]


def test_excluded_files_are_not_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", fake_download)
    monkeypatch.setattr(sources, "SOURCES", (GOOD,))
    fetch_sources(tmp_path, sources=(GOOD,))
    assert [path.name for path, _ in list_files(tmp_path, "photos")] == ["one.png"]


def test_every_source_states_licence_and_tier():
    assert all(
        source.licence and source.tier in "AB" and source.client in ("apt", "npm", "pip") for source in sources.SOURCES
    )
    assert len({source.folder for source in sources.SOURCES}) == len(sources.SOURCES)


def disc(path, radius=80, side=300):
    y, x = np.mgrid[:side, :side] - side / 2
    rgba = np.full((side, side, 4), 200, np.uint8)
    rgba[..., 3] = np.where(x**2 + y**2 < radius**2, 255, 0)
    Image.fromarray(rgba).save(path)
    return path


def test_a_cutout_is_trimmed_and_opaque_pictures_are_none(tmp_path):
    assert read_cutout(disc(tmp_path / "disc.png")).shape[:2] == (159, 159)
    Image.new("RGB", (200, 200)).save(tmp_path / "card.png")
    assert read_cutout(tmp_path / "card.png") is None


def test_a_source_has_its_share_however_many_files_it_has(tmp_path):
    files = [(disc(tmp_path / f"{i}.png"), 0.75 if i == 0 else 0.25) for i in range(4)]
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert collect_cutouts([*files, (tmp_path / "broken.png", 0.25)], tmp_path / "out") == 4
    weights = open_cutouts(tmp_path / "out").weights
    assert np.allclose(weights, [0.75, *[0.25 / 3] * 3])
    held_out = open_cutouts(tmp_path / "out").only(np.array([False, True, True, False]))
    assert np.allclose(held_out.weights, [0, 0.5, 0.5, 0])


def test_missing_data_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="--prepare"):
        open_labels(tmp_path)
    with pytest.raises(FileNotFoundError, match="--prepare"):
        open_cutouts(tmp_path)


def test_a_packed_copy_serves_as_raw_and_is_smaller(tmp_path, monkeypatch):
    source = Source("big@1", "npm", "MIT", "A", photos=("package/*.jpg",), cutouts=("package/*.png",))
    monkeypatch.setattr(sources, "SOURCES", (source,))
    folder = tmp_path / "raw" / source.folder / "package"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.jpg", quality=95)
    disc(folder / "disc.png", radius=400, side=1000)
    (tmp_path / "raw" / "manifest.json").write_text(json.dumps({source.name: {"sha256": "0" * 64}}))
    before = sum(file.stat().st_size for file in (tmp_path / "raw").rglob("*") if file.is_file())
    assert pack(tmp_path / "raw", tmp_path / "packed") < before / 3
    assert len(list_files(tmp_path / "packed", "photos")) == 1
    assert read_cutout(list_files(tmp_path / "packed", "cutouts")[0][0]).shape[2] == 4
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("fetched what was packed"))
    fetch_sources(tmp_path / "packed", sources=(source,))
