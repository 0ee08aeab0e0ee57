"""Tracked masks as files: overlay video, palette images, run lengths."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from sam2nb.export.tracks import OverlayWriter, PaletteWriter, davis_palette, save_tracks
from sam2nb.media.video import open_frames
from sam2nb.predict.video.session import FrameResult
from tests.predict.video.clips import SIZE_HW, frame


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


def test_palette_images_have_the_form_of_davis(tmp_path):
    writer = PaletteWriter(tmp_path / "masks")
    path = writer.add(result(3, (7, "dog")))
    image = Image.open(path)
    assert path.name == "00003.png" and image.mode == "P"
    values = np.asarray(image)
    assert writer.labels == {7: 7, "dog": 1}
    assert values[6, 20] == 7 and values[15, 20] == 1 and values[39, 0] == 0  # the higher logit wins
    assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]


def test_the_palette_is_the_one_of_davis():
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


def test_frames_written_before_an_error_can_be_read(tmp_path):
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


def test_a_file_of_run_lengths_may_be_empty(tmp_path):
    assert save_tracks([], rle=tmp_path / "empty.json") == 0
    assert json.loads((tmp_path / "empty.json").read_text())["annotations"] == []
