import io
import json
import subprocess
import tarfile

import numpy as np
import pytest
from PIL import Image

from sam2nb.training.data import sources
from sam2nb.training.data.sources import SOURCES, Source, fetch_sources, list_files

GOOD = Source("good@1.0", "npm", "MIT", photos=("package/*.png",), exclude=("*/bad*",))
GONE = Source("gone", "apt", "CC0")


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


def test_a_source_that_cannot_be_fetched_is_recorded_and_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", fake_download)
    manifest = fetch_sources(tmp_path, sources=(GOOD, GONE))
    assert len(manifest["good@1.0"]["sha256"]) == 64
    assert manifest["good@1.0"]["licence"] == "MIT"
    assert "Unable to locate" in manifest["gone"]["skipped"]
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest


def test_an_unpacked_source_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", fake_download)
    fetch_sources(tmp_path, sources=(GOOD,))
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("fetched twice"))
    fetch_sources(tmp_path, sources=(GOOD,))


def test_fetching_no_source_at_all_is_an_error(tmp_path, monkeypatch):
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


def test_exclusions_look_only_below_the_folder_of_the_source(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_download", fake_download)
    monkeypatch.setattr(sources, "SOURCES", (GOOD,))
    raw = tmp_path / "bad_luck"
    fetch_sources(raw, sources=(GOOD,))
    assert [path.name for path, _ in list_files(raw, "photos")] == ["one.png"]


def test_images_are_carved_out_of_a_qt_resource_and_sorted_by_kind(tmp_path):
    y, x = np.mgrid[:320, :320]
    cutout = np.dstack([np.full((320, 320, 3), 90, np.uint8), (x > y).astype(np.uint8) * 255])
    blobs = [webp(np.full((320, 320, 3), 90, np.uint8)), webp(cutout), webp(np.zeros((20, 20, 3), np.uint8))]
    (tmp_path / "some.rcc").write_bytes(b"qres" + b"....".join([*blobs, blobs[0]]) + b"RIFF")
    sources._carve_images([tmp_path / "some.rcc"], tmp_path / "carved")
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "carved").iterdir()) == ["cutout", "photo"]


def webp(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="WEBP", lossless=True)
    return stream.getvalue()


def test_every_source_states_its_licence_and_has_a_folder_of_its_own():
    assert all(source.licence and source.client in ("apt", "npm", "pip") for source in SOURCES)
    assert len({source.folder for source in SOURCES}) == len(SOURCES)
