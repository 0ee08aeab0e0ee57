"""The `evaluate` and `benchmark` commands, from options to files."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.build import build_sam2
from sam2nb.cli import app
from sam2nb.weights.checkpoint import save_checkpoint

SIDE = 128


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random nano weights as a file."""
    model = build_sam2("sam2nb_nano", device="cpu")
    return save_checkpoint(model, tmp_path_factory.mktemp("weights") / "nano.safetensors")


@pytest.fixture
def labelled_images(tmp_path):
    """A folder with one image that has a mask and one that has none."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:40] = 1
    for name in ("a", "b"):
        Image.fromarray(np.dstack([mask * 200] * 3)).save(tmp_path / "images" / f"{name}.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_evaluate_scores_what_it_can_names_what_it_cannot_and_writes_json(weights, labelled_images, tmp_path):
    target = tmp_path / "scores.json"
    options = (
        "--model",
        "sam2nb_nano",
        "--weights",
        weights,
        "--image-size",
        SIDE,
        "--clicks",
        "1,2",
        "--device",
        "cpu",
    )
    result = run("evaluate", *options, "--images", labelled_images, "--json", target)
    assert result.exit_code == 0
    assert "1 objects in 2 images" in result.output and "left out: no mask for b.png" in result.output
    record = json.loads(target.read_text())
    assert set(record["images"]["mean"]) == {"box", "clicks_1", "clicks_2"}
    assert record["conditions"]["image_size"] == SIDE and record["conditions"]["closer"] is None
    assert record["images"]["areas"] == [600] and "1 small   box" in result.output
    assert run("evaluate", *options, "--images", labelled_images, "--closer").exit_code == 0


def test_a_missing_folder_is_named():
    with pytest.raises(FileNotFoundError, match="no file or folder 'no/such/folder'"):
        run("evaluate", "--images", "no/such/folder")


def test_numbers_that_are_none_are_named():
    with pytest.raises(ValueError, match="--clicks must be whole numbers separated by commas, got '1,b'"):
        run("evaluate", "--clicks", "1,b")


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="parts has 'dance'"):
        run("benchmark", "--parts", "dance", "--random-weights", "--device", "cpu")


def test_a_wrong_workload_is_named():
    with pytest.raises(ValueError, match="workload has 'side'; known are photo_hw"):
        run("benchmark", "--workload", "side=3", "--random-weights", "--device", "cpu")
