"""The `track` command: text prompts in, videos, masks and run lengths out."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.cli import app
from sam2nb.cli.track import TrackOutputs, TrackRequest, track_video
from sam2nb.media.video import open_frames
from tests.predict.video.clips import SIZE_HW, frame, small_model


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def clip(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(frame(index)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def command(monkeypatch, model):
    monkeypatch.setattr("sam2nb.cli.track.load_chosen_model", lambda *_: model)

    def run(*words):
        return CliRunner().invoke(app, ["track", *map(str, words)])

    return run


def test_the_command_tracks_and_writes_everything(command, clip, tmp_path):
    done = command(
        clip, "--click", "20,20", "--exclude", "2,2", "--frame", 2, "--both-ways",
        "--out", tmp_path / "out.mp4", "--masks", tmp_path / "masks", "--rle", tmp_path / "out.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "1 object on 4 of 4 frames" in done.output
    assert len(open_frames(tmp_path / "out.mp4")) == 4
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == [f"{i:05d}.png" for i in range(4)]


def test_each_box_is_an_object_and_so_is_each_label(command, clip, tmp_path):
    done = command(clip, "--box", "8,10,28,30", "--box", "30,2,50,20", "--masks", tmp_path / "a")
    assert "2 objects on 4 of 4 frames" in done.output, done.output
    labels = np.zeros(SIZE_HW, np.uint8)
    labels[10:30, 8:28], labels[2:8, 30:50] = 3, 9
    Image.fromarray(labels).save(tmp_path / "labels.png")
    done = command(clip, "--mask", tmp_path / "labels.png", "--masks", tmp_path / "b", "--frame", 1)
    assert "2 objects on 3 of 4 frames" in done.output, done.output
    assert set(np.unique(np.asarray(Image.open(tmp_path / "b" / "00001.png")))) == {0, 3, 9}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--click", "1,1"), "nothing to write"),
        (("--masks", "m"), "nothing to track"),
        (("--masks", "m", "--click", "1;1"), "2 numbers"),
        (("--masks", "m", "--box", "1,2,3"), "4 numbers"),
        (("--masks", "m", "--mask", "a.png", "--click", "1,1"), "cannot be combined"),
        (("--masks", "m", "--box", "1,2,3,4", "--box", "1,2,3,4", "--click", "1,1"), "clicks are ambiguous"),
    ],
)
def test_contradicting_options_are_refused_before_anything_is_loaded(command, clip, words, message):
    done = command(clip, *words)
    assert done.exit_code != 0 and message in str(done.exception)


def test_a_mask_in_colour_is_no_label_map(clip, tmp_path, model):
    Image.fromarray(frame(0)).save(tmp_path / "rgb.png")
    request = TrackRequest(clip, mask=tmp_path / "rgb.png")
    with pytest.raises(ValueError, match="label map"):
        list(track_video(request, model, TrackOutputs(masks=tmp_path / "m")))
