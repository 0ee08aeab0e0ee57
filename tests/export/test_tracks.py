"""What tracking leaves behind: overlay video, palette pictures, run lengths, and the command that writes them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import CliRunner

from sam2nb.cli import track as track_file
from sam2nb.export.tracks import OverlayWriter, PaletteWriter, RleWriter, davis_palette, save_tracks
from sam2nb.media.video import open_frames
from sam2nb.predict.video.predictor import FrameResult
from tests.predict.test_video_predictor import frame, model  # noqa: F401  (a fixture)

SIZE_HW = (40, 56)


def result(index: int, obj_ids=(1, 2)) -> FrameResult:
    """Two squares, the second over the first with a higher logit."""
    masks = torch.full((len(obj_ids), 1, *SIZE_HW), -5.0)
    for row in range(len(obj_ids)):
        masks[row, 0, 5 + 8 * row : 20 + 8 * row, 10 + index : 30 + index] = 3.0 + row
    return FrameResult(index, list(obj_ids), masks)


def test_an_overlay_video_shows_the_masks_and_plays(tmp_path):
    frames = [np.full((*SIZE_HW, 3), 120, np.uint8) for _ in range(4)]
    assert save_tracks((result(i) for i in range(4)), frames, video=tmp_path / "out.mp4", fps=10) == 4
    written = open_frames(tmp_path / "out.mp4")
    assert len(written) == 4 and written.size_hw == SIZE_HW
    inside, outside = written[2][10, 20].astype(int), written[2][35, 50].astype(int)
    assert np.abs(inside - 120).max() > 20 and np.abs(outside - 120).max() < 12


def test_an_object_keeps_its_colour_when_others_go(tmp_path):
    writer = OverlayWriter(tmp_path / "out.mp4")
    writer.add(frame(0), result(0, ("a", "b")))
    writer.add(frame(0), result(1, ("b",)))
    writer.add(frame(0), FrameResult(2, [], torch.zeros(0, 1, *SIZE_HW)))
    writer.close()
    assert writer._colors == {"a": 0, "b": 1}
    assert len(open_frames(tmp_path / "out.mp4")) == 3


def test_palette_pictures_are_in_the_form_of_davis(tmp_path):
    writer = PaletteWriter(tmp_path / "masks")
    path = writer.add(result(3, (7, "dog")))
    picture = Image.open(path)
    assert path.name == "00003.png" and picture.mode == "P"
    values = np.asarray(picture)
    assert writer.labels == {7: 7, "dog": 1}
    assert values[6, 20] == 7 and values[15, 20] == 1 and values[39, 0] == 0  # the higher logit wins
    assert picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]


def test_the_palette_is_that_of_davis():
    palette = davis_palette()
    assert palette[:6].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]]
    assert palette[255].tolist() == [224, 224, 192]
    assert len(np.unique(palette, axis=0)) == 256


def test_a_palette_has_room_for_254_objects(tmp_path):
    writer = PaletteWriter(tmp_path)
    writer.labels = {f"object {i}": i for i in range(1, 255)}
    with pytest.raises(ValueError, match="254 objects"):
        writer.add(result(0, ("one more",)))


def test_run_lengths_are_read_by_pycocotools(tmp_path):
    empty = FrameResult(1, [1], torch.full((1, 1, *SIZE_HW), -1.0))
    save_tracks([result(0, (1, "b")), empty], rle=tmp_path / "deep" / "tracks.json")
    coco = COCO(tmp_path / "deep" / "tracks.json")
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[0]))
    assert [a["track_id"] for a in annotations] == [1, "b"] and coco.getAnnIds(imgIds=[1]) == []
    assert coco.annToMask(annotations[0]).astype(bool).sum() == annotations[0]["area"] == 15 * 20
    assert annotations[1]["bbox"] == [10, 13, 20, 15]


def test_nothing_is_lost_when_tracking_breaks_off(tmp_path):
    def breaking():
        yield result(0)
        raise RuntimeError("the video broke")

    with pytest.raises(RuntimeError, match="broke"):
        save_tracks(breaking(), [frame(0)], video=tmp_path / "a.mp4", masks=tmp_path / "m", rle=tmp_path / "a.json")
    assert len(open_frames(tmp_path / "a.mp4")) == 1
    assert len(json.loads((tmp_path / "a.json").read_text())["images"]) == 1
    assert [p.name for p in (tmp_path / "m").iterdir()] == ["00000.png"]


def test_a_video_needs_frames(tmp_path):
    with pytest.raises(ValueError, match="session.frames"):
        save_tracks([], video=tmp_path / "a.mp4")
    with RleWriterAt(tmp_path) as path:
        assert json.loads(path.read_text())["annotations"] == []


class RleWriterAt:
    """A file of run lengths without any."""

    def __init__(self, folder):
        self.path = folder / "empty.json"

    def __enter__(self):
        RleWriter(self.path).close()
        return self.path

    def __exit__(self, *_):
        return False


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def clip(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(frame(index)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def command(monkeypatch, model):  # noqa: F811
    from sam2nb import cli

    monkeypatch.setattr(cli, "_load", lambda *_: model)

    def run(*words):
        return CliRunner().invoke(cli.app, ["track", *map(str, words)])

    return run


def test_the_command_tracks_and_writes_everything(command, clip, tmp_path):
    done = command(
        clip, "--click", "20,20", "--exclude", "2,2", "--frame", 2, "--both-ways",
        "--out", tmp_path / "out.mp4", "--masks", tmp_path / "masks", "--rle", tmp_path / "out.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "1 objects on 4 of 4 frames" in done.output
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
        (("--masks", "m", "--mask", "a.png", "--click", "1,1"), "leave out"),
        (("--masks", "m", "--box", "1,2,3,4", "--box", "1,2,3,4", "--click", "1,1"), "whose clicks"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_first(command, clip, words, message):
    done = command(clip, *words)
    assert done.exit_code != 0 and message in str(done.exception)


def test_a_mask_in_colour_is_no_label_map(clip, tmp_path, model):  # noqa: F811
    Image.fromarray(frame(0)).save(tmp_path / "rgb.png")
    order = track_file.TrackOrder(clip, mask=tmp_path / "rgb.png")
    with pytest.raises(ValueError, match="label map"):
        list(track_file.run_track_order(order, model, masks=tmp_path / "m"))
