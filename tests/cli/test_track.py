"""The `track` command: text prompts in, videos, masks and run lengths out."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb import SAM2VideoPredictor
from sam2nb.cli import app
from sam2nb.cli.options import TrackingChoice
from sam2nb.cli.prompts import TextPrompts
from sam2nb.cli.track import TrackOutputs, TrackRequest, track_video
from sam2nb.masks.rle import as_rle
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
    monkeypatch.setattr("sam2nb.cli.options.load_chosen_model", lambda *_: model)

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


def test_a_second_look_is_passed_to_the_predictor(clip, model, tmp_path, monkeypatch):
    asked = []
    original = SAM2VideoPredictor.__init__

    def note(self, *given, **options):
        asked.append(options["closer"])
        original(self, *given, **options)

    monkeypatch.setattr(SAM2VideoPredictor, "__init__", note)
    request = TrackRequest(clip, TextPrompts.parse(click=["20,20"]))
    for closer in (None, True):
        predictor = TrackingChoice(closer=closer).predictor(model)
        list(track_video(request, predictor, TrackOutputs(rle=tmp_path / "out.json")))
    assert asked == [False, True]


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
        (("--masks", "m"), "nothing to track"),
        (("--masks", "m", "--click", "1;1"), "2 numbers"),
        (("--masks", "m", "--box", "1,2,3"), "4 numbers"),
        (("--masks", "m", "--mask", "a.png", "--click", "1,1"), "cannot be combined"),
        (("--masks", "m", "--box", "1,2,3,4", "--box", "1,2,3,4", "--click", "1,1"), "clicks are ambiguous"),
        (("--masks", "m", "--box", "1,2,3,4", "--boxes", "boxes.csv"), "cannot be combined with other prompts"),
        (("--masks", "m", "--mask", "a.png", "--boxes", "boxes.csv"), "cannot be combined with other prompts"),
        (("--masks", "m", "--boxes", "gone.csv"), "no file or folder 'gone.csv'"),
        (("--masks", "m", "--names", "cat"), "nothing to track"),
        (("--masks", "m", "--names", "cat", "--everything"), "takes no prompts"),
        (("--masks", "m", "--click", "1,1", "--names", "cat,dog"), "got 2 for 1"),
    ],
)
def test_contradicting_options_are_refused_before_anything_is_loaded(
    command, clip, words, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "boxes.csv"):
        (tmp_path / name).touch()
    done = command(clip, *words)
    assert done.exit_code != 0 and message in str(done.exception)


def names_in(path):
    content = json.loads(path.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    return {annotation["track_id"]: names[annotation["category_id"]] for annotation in content["annotations"]}


def test_names_go_into_the_files_of_masks(command, clip, tmp_path):
    boxes = "--box", "8,10,28,30", "--box", "30,2,50,20"
    done = command(clip, *boxes, "--names", "cat, dog", "--masks", tmp_path / "m", "--rle", tmp_path / "a.json")
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads((tmp_path / "m" / "names.json").read_text()) == {"1": "cat", "2": "dog"}
    assert names_in(tmp_path / "a.json").items() <= {1: "cat", 2: "dog"}.items()


def test_boxes_of_a_detector_are_tracked_and_kept_in_the_session(command, clip, tmp_path):
    rows = "8,10,28,30,cat,5\n30,2,50,20,dog,\n90,90,99,99,cow,\n"
    (tmp_path / "boxes.csv").write_text("x1,y1,x2,y2,name,track_id\n" + rows)
    words = clip, "--boxes", tmp_path / "boxes.csv", "--session", tmp_path / "session", "--masks", tmp_path / "m"
    done = command(*words)
    assert "2 objects on 4 of 4 frames" in done.output, (done.output, done.exception)
    names = {"5": "cat", "6": "dog"}
    assert json.loads((tmp_path / "m" / "names.json").read_text()) == names
    for again in (words, (clip, "--session", tmp_path / "session", "--masks", tmp_path / "m")):
        (tmp_path / "m" / "names.json").unlink()
        done = command(*again, "--resume")
        assert done.exit_code == 0, (done.output, done.exception)
        assert json.loads((tmp_path / "m" / "names.json").read_text()) == names


def test_boxes_that_are_not_on_the_frame_are_nothing_to_track(command, clip, tmp_path):
    (tmp_path / "boxes.csv").write_text("x1,y1,x2,y2\n90,90,99,99\n")
    done = command(clip, "--boxes", tmp_path / "boxes.csv", "--masks", tmp_path / "m")
    assert done.exit_code != 0 and "--boxes has no box on the frame" in str(done.exception)


def test_every_frame_is_reported_with_quality_presence_and_run_lengths(command, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(clip, "--click", "20,20", "--json", "-", "--names", "cat")
    assert done.exit_code == 0, (done.output, done.exception)
    results = json.loads(done.stdout)["results"]
    assert [result["frame"] for result in results] == [0, 1, 2, 3]
    (found,) = results[0]["objects"]
    assert found["id"] == 1 and found["name"] == "cat" and {"score", "presence"} <= found.keys()
    assert as_rle(found["segmentation"]).area == found["area"]
    assert [path.name for path in tmp_path.iterdir()] == [clip.name]  # nothing else was asked for


def test_without_a_file_to_write_a_video_and_run_lengths_go_to_a_folder(command, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command(clip, "--click", "20,20").exit_code == 0
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == ["frames_tracked.mp4", "frames_tracks.json"]


def test_other_programs_get_files_beside_the_run_lengths(command, clip, tmp_path):
    kinds = ("--format", "polygons,cvat,labelstudio", "--yolo", tmp_path / "set")
    done = command(clip, "--click", "20,20", "--rle", tmp_path / "a.json", *kinds)
    assert done.exit_code == 0, (done.output, done.exception)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"a_polygons.json", "a_cvat.xml", "a_labelstudio.json", "set"} <= names
    assert len(list((tmp_path / "set" / "labels").iterdir())) == 4
    refused = command(clip, "--click", "20,20", "--rle", tmp_path / "a.json", "--format", "gif")
    assert "formats must be some of polygons, cvat, labelstudio, got gif" in str(refused.exception)


def test_a_mask_in_colour_is_no_label_map(clip, tmp_path, model):
    Image.fromarray(frame(0)).save(tmp_path / "rgb.png")
    request = TrackRequest(clip, mask=tmp_path / "rgb.png")
    with pytest.raises(ValueError, match="label map"):
        list(track_video(request, TrackingChoice().predictor(model), TrackOutputs(masks=tmp_path / "m")))


@pytest.mark.parametrize("options", [("--search", "region"), ("--memory", "anchored"), ("--motion",)])
def test_tracking_in_other_ways(command, clip, tmp_path, options):
    done = command(clip, "--box", "8,10,28,30", "--masks", tmp_path / "a", *options)
    assert done.exit_code == 0 and "1 object on 4 of 4 frames" in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--search", "crop"), "--search must be one of frame, region, got 'crop'"),
        (("--memory", "elephant"), "--memory must be one of official, steady, anchored, match, got 'elephant'"),
    ],
)
def test_an_unknown_way_is_refused_before_anything_is_loaded(clip, options, message):
    refused = CliRunner().invoke(app, ["track", str(clip), "--click", "1,1", "--model", "sam2.1_hiera_large", *options])
    assert message in str(refused.exception)
