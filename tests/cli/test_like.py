"""The `like` command: a reference with its mask and other images in, masks out."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.build import load_model
from sam2nb.cli import app
from tests.predict.video.test_like import OTHERS, scene, square


@pytest.fixture(scope="module")
def nano():
    return load_model("sam2nb_nano", device="cpu", image_size=128)


@pytest.fixture
def files(tmp_path, monkeypatch, nano):
    """A reference, its label map and a folder of two images, in an empty folder."""
    monkeypatch.setattr("sam2nb.cli.options.load_chosen_model", lambda *_: nano)
    labels = square(40, 10) * 3
    labels[48:64, 32:50] = 7
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "labels.png")
    Image.fromarray(scene(40, 10)).save(tmp_path / "reference.png")
    (tmp_path / "others").mkdir()
    for index, other in enumerate(OTHERS[:2]):
        Image.fromarray(scene(*other)).save(tmp_path / "others" / f"{index}.png")
    return tmp_path / "reference.png", tmp_path / "labels.png", tmp_path / "others"


def command(*words):
    return CliRunner().invoke(app, ["like", *map(str, words)])


def test_every_image_gets_a_label_image_and_all_of_them_a_coco_file(files, tmp_path):
    out = tmp_path / "out"
    done = command(*files, "--names", "red thing, blue", "--overlay", "--out", out)
    assert done.exit_code == 0, (done.output, done.exception)
    assert sorted(path.name for path in out.iterdir()) == [
        "0_mask.png", "0_overlay.jpg", "1_mask.png", "1_overlay.jpg", "coco.json", "names.json",
    ]  # fmt: skip
    assert "0.png: object 3 (red thing): score 0." in done.output and f"wrote {out / 'coco.json'}" in done.output
    for index, other in enumerate(OTHERS[:2]):
        labels = np.asarray(Image.open(out / f"{index}_mask.png"))
        truth = square(*other)
        assert ((labels == 3) & truth).sum() / ((labels == 3) | truth).sum() > 0.7
    content = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["0.png", "1.png"]
    assert [category["name"] for category in content["categories"]] == ["red thing", "blue"]
    assert json.loads((out / "names.json").read_text()) == {"3": "red thing", "7": "blue"}


def test_what_cannot_be_right_is_refused_before_anything_is_written(files, tmp_path):
    reference, labels, others = files
    (tmp_path / "empty").mkdir()
    Image.fromarray(scene(40, 10)).save(tmp_path / "0.png")
    Image.fromarray(scene(40, 10)).save(others / "0_mask.png")
    cases = [
        ((reference, labels, tmp_path / "gone.png"), "there is no file"),
        ((reference, labels, tmp_path / "empty"), "has no images"),
        ((reference, labels, others / "0.png", tmp_path / "0.png"), "have the same name"),
        ((reference, labels, others / "0.png", "--names", "red"), "one name per object, got 1 for 2"),
        ((reference, labels, others / "0.png", "--names", "red,"), "names separated by commas"),
        ((reference, reference, others / "0.png"), "is in colour"),
    ]
    for words, message in cases:
        done = command(*words, "--out", tmp_path / "out")
        assert done.exit_code != 0 and message in str(done.exception), done.output
    done = command(reference, labels, others, "--out", others)
    assert "holds the images to read" in str(done.exception)
    done = command(reference, labels, others / "0.png", others / "0_mask.png", "--out", others)
    assert "0_mask.png' would be overwritten" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_images_before_a_damaged_one_are_written(files, tmp_path):
    (tmp_path / "others" / "2.png").write_bytes(b"no image")
    done = command(*files, "--out", tmp_path / "out")
    assert done.exit_code != 0 and "2.png" in str(done.exception)
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["images"]) == 2
