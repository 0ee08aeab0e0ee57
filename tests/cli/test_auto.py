"""The `auto` command: images in, mask files out."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from sam2nb.build import build_sam2
from sam2nb.cli import app
from sam2nb.export.masks import load_coco

SIZE_HW = (90, 140)


def test_the_command_writes_the_formats_asked_for(tmp_path, monkeypatch):
    model = build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=128"])
    monkeypatch.setattr("sam2nb.cli.options.load_chosen_model", lambda *_: model)
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    arguments = ["auto", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"), "--points-per-side", "2"]
    arguments += ["--pred-iou", "0", "--stability", "0", "--format", "coco,yolo,labels,overlay"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "masks (4 points > 12 masks > " in result.output
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["auto_run.json", "photo.txt", "photo_coco.json", "photo_labels.png", "photo_overlay.jpg"]
    records, size_hw = load_coco(tmp_path / "out" / "photo_coco.json")
    assert records and size_hw == SIZE_HW
