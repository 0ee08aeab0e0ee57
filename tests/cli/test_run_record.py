"""The record of an `auto` run: a run that was stopped goes on and ends as if it had not been."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.build import build_sam2
from sam2nb.cli import app
from sam2nb.cli.run_record import RunRecord
from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

NAMES = ("a.png", "b.png", "c.png")
FORMATS = "coco,yolo,labels,overlay"


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@pytest.fixture(scope="module")
def model():
    return build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=["++model.image_size=64"])


@pytest.fixture
def images(tmp_path):
    for seed, name in enumerate(NAMES):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return [tmp_path / name for name in NAMES]


@pytest.fixture
def command(monkeypatch, model, images):
    """Run `auto` on the images; `.generated` are those that were segmented."""
    monkeypatch.setattr("sam2nb.cli.options.load_chosen_model", lambda *_: model)
    original, generated = SAM2AutomaticMaskGenerator.generate, []

    def generate(self, image, **options):
        if image.name == run.killed_at:
            raise Killed
        generated.append(image.name)
        return original(self, image, **options)

    monkeypatch.setattr(SAM2AutomaticMaskGenerator, "generate", generate)

    def run(out, *words, killed_at=None, points=2):
        generated.clear()
        run.killed_at = killed_at
        options = ["--points-per-side", points, "--pred-iou", 0, "--stability", 0, "--format", FORMATS, "--out", out]
        return CliRunner().invoke(app, ["auto", *map(str, [*images, *options, *words])])

    run.generated = generated
    return run


def contents(folder) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "auto_run.json"}


@pytest.mark.parametrize("killed_at", NAMES)
def test_a_killed_run_goes_on_and_writes_the_same_files(command, tmp_path, killed_at):
    assert command(tmp_path / "whole").exit_code == 0 and command.generated == list(NAMES)
    with pytest.raises(Killed):
        raise command(tmp_path / "out", killed_at=killed_at).exception
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / f"{killed_at[0]}_coco.json").write_text('{"ima')  # half written when the kill came
    done = command(tmp_path / "out", "--resume")
    assert done.exit_code == 0, done.output
    assert command.generated == list(NAMES[NAMES.index(killed_at) :])
    assert done.output.count("done before") == NAMES.index(killed_at)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    command(tmp_path / "out", "--resume")
    assert command.generated == []


def test_without_resume_everything_is_done_again(command, tmp_path):
    command(tmp_path / "out")
    command(tmp_path / "out")
    assert command.generated == list(NAMES)


def test_a_changed_image_and_a_missing_or_cut_off_file_are_done_again(command, images, tmp_path):
    command(tmp_path / "out")
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(images[0])
    (tmp_path / "out" / "b.txt").unlink()
    labels = tmp_path / "out" / "c_labels.png"
    labels.write_bytes(labels.read_bytes()[:-1])
    command(tmp_path / "out", "--resume")
    assert command.generated == list(NAMES)


def test_other_settings_are_refused_by_name(command, model, tmp_path, monkeypatch):
    command(tmp_path / "out")
    refused = command(tmp_path / "out", "--resume", points=3)
    assert refused.exit_code != 0 and command.generated == []
    assert "had points_per_side=2, this one has 3: give the same options" in str(refused.exception)
    monkeypatch.setattr(model, "image_size", 96)
    assert "had image_size=64, this one has 96" in str(command(tmp_path / "out", "--resume").exception)


def test_a_damaged_record_and_one_of_another_version_are_named(tmp_path):
    run = RunRecord.begin(tmp_path, "auto", {"tiles": None}, resume=True)
    for text in ("", "{", "[]", '{"version": 2}', '{"version": 2, "settings": 3, "done": {}}'):
        run.file.write_text(text)
        with pytest.raises(ValueError, match="auto_run.json is damaged: delete it to begin anew"):
            RunRecord.begin(tmp_path, "auto", {}, resume=True)
    run.file.write_text(json.dumps({"version": 3, "settings": {}, "done": {}}))
    with pytest.raises(ValueError, match="has version 3, this sam2nb reads 2"):
        RunRecord.begin(tmp_path, "auto", {}, resume=True)
    assert RunRecord.begin(tmp_path, "auto", {}, resume=False).done == {}


def test_a_cache_serves_the_same_images_to_other_settings(command, model, tmp_path, monkeypatch):
    command(tmp_path / "plain")
    command(tmp_path / "one", "--cache", tmp_path / "cache")
    monkeypatch.setattr(model, "encode_image", None)
    assert command(tmp_path / "two", "--cache", tmp_path / "cache").exit_code == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "plain")
