import json

import numpy as np
import pytest
from PIL import Image

from sam2nb.training.data import sources
from sam2nb.training.data.cutouts import read_cutout
from sam2nb.training.data.pack import pack
from sam2nb.training.data.sources import Source, fetch_sources, list_files


def test_a_packed_copy_serves_as_raw_and_is_smaller(tmp_path, monkeypatch):
    source = Source("big@1", "npm", "MIT", photos=("package/*.jpg",), cutouts=("package/*.png",))
    monkeypatch.setattr(sources, "SOURCES", (source,))
    folder = tmp_path / "raw" / source.folder / "package"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.jpg", quality=95)
    y, x = np.mgrid[:1000, :1000] - 500
    alpha = np.where(x**2 + y**2 < 400**2, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([np.full((1000, 1000, 3), 200, np.uint8), alpha])).save(folder / "disc.png")
    (tmp_path / "raw" / "manifest.json").write_text(json.dumps({source.name: {"sha256": "0" * 64}}))
    before = sum(file.stat().st_size for file in (tmp_path / "raw").rglob("*") if file.is_file())
    assert pack(tmp_path / "raw", tmp_path / "packed") < before / 3
    assert len(list_files(tmp_path / "packed", "photos")) == 1
    assert read_cutout(list_files(tmp_path / "packed", "cutouts")[0][0]).shape[2] == 4
    monkeypatch.setattr(sources, "_download", lambda *_: pytest.fail("fetched what was packed"))
    fetch_sources(tmp_path / "packed", sources=(source,))
