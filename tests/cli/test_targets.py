"""No command overwrites what it reads, or a file of the user."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.cli import app
from sam2nb.cli.targets import check_new, check_targets
from tests.media.clips import write_clip


def refused(*words) -> str:
    """The message of a command that refuses before it loads a model."""
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code != 0 and isinstance(done.exception, ValueError), (done.output, done.exception)
    return str(done.exception)


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    monkeypatch.setattr("sam2nb.build.load_model", lambda *_, **__: pytest.fail("a model was loaded"))


@pytest.mark.parametrize("option", ["--out", "--overlay"])
def test_segment_does_not_overwrite_its_image(photo, option):
    before = photo.read_bytes()
    message = refused("segment", photo, "--click", "5,5", option, photo.parent / "." / "in.png")
    assert "in.png" in message and "is read and would be overwritten" in message and photo.read_bytes() == before


def test_track_does_not_overwrite_its_video_its_mask_or_its_frames(tmp_path, photo):
    video = write_clip(tmp_path / "clip.mp4")
    (tmp_path / "link.mp4").symlink_to(video)
    click = ("--click", "5,5")
    for target in (video, tmp_path / "link.mp4"):
        assert "would be overwritten" in refused("track", video, *click, "--out", target)
    (tmp_path / "frames").mkdir()
    photo.rename(tmp_path / "frames" / "00000.png")
    frames = tmp_path / "frames"
    assert "would be overwritten" in refused("track", frames, *click, "--masks", frames)
    assert "would be overwritten" in refused(
        "track", video, "--mask", frames / "00000.png", "--rle", frames / "00000.png"
    )


def test_auto_does_not_overwrite_a_text_file_beside_an_image(photo):
    notes = photo.with_suffix(".txt")
    notes.write_text("mine")
    message = refused("auto", photo, "--format", "yolo", "--out", photo.parent)
    assert "in.txt" in message and "exists and would be overwritten" in message and notes.read_text() == "mine"


def test_finetune_names_an_unusable_file_before_it_trains(tmp_path):
    assert "must end in .pt or .safetensors" in refused("finetune", tmp_path, tmp_path / "out.bin")


@pytest.mark.parametrize("fps", ["0", "-3", "inf", "nan"])
def test_track_refuses_a_rate_that_is_no_positive_number(tmp_path, fps):
    video = write_clip(tmp_path / "clip.mp4")
    assert "--fps must be a positive number" in refused("track", video, "--click", "5,5", "--fps", fps)


def test_other_names_are_free(tmp_path, photo):
    check_targets([photo, None], [tmp_path / "other.png", None])
    check_new([tmp_path / "other.png"])
