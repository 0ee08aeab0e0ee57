"""`track --everything`: a video in, files with all objects out."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.build import load_model
from sam2nb.cli import app
from tests.predict.video.test_everything import frame


@pytest.fixture
def command(monkeypatch):
    model = load_model("sam2nb_nano", device="cpu", image_size=128)
    monkeypatch.setattr("sam2nb.cli.options.load_chosen_model", lambda *_: model)
    return lambda *words: CliRunner().invoke(app, ["track", *map(str, words)])


@pytest.fixture
def clip(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(frame(index)).save(folder / f"{index}.png")
    return folder


def test_everything_is_tracked_up_to_the_limit_of_objects(command, clip, tmp_path):
    done = command(clip, "--everything", "--every", 2, "--max-objects", 1, "--masks", tmp_path / "masks")
    assert done.exit_code == 0, done.output
    assert "1 object on 4 of 4 frames" in done.output and f"wrote {tmp_path / 'masks'}" in done.output
    assert set(np.unique(np.asarray(Image.open(tmp_path / "masks" / "00003.png")))) == {0, 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--everything", "--masks", "m", "--click", "1,1"), "takes no prompts"),
        (("--everything", "--masks", "m", "--both-ways"), "takes no prompts"),
        (("--everything", "--masks", "m", "--session", "s"), "leave out --session"),
        (("--masks", "m", "--click", "1,1", "--every", "5"), "are for --everything"),
        (("--masks", "m", "--click", "1,1", "--max-objects", "5"), "are for --everything"),
        (("--masks", "m"), "or --everything"),
    ],
)
def test_contradicting_options_are_refused(command, clip, words, message):
    done = command(clip, *words)
    assert done.exit_code != 0 and message in str(done.exception)


def test_numbers_below_one_are_refused(command, clip):
    for option in ("--every", "--max-objects"):
        assert command(clip, "--everything", "--masks", "m", option, 0).exit_code == 2
