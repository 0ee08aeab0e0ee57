"""The `segment` command: text prompts in, mask files out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.build import build_sam2, load_model
from sam2nb.cli import app
from sam2nb.cli.prompts import TextPrompts
from sam2nb.cli.segment import SegmentFiles, SegmentRequest, label_map, segment_image
from sam2nb.export.masks import load_coco
from sam2nb.masks.rle import as_rle
from sam2nb.resources import resource_dir

PHOTO = resource_dir("data") / "photos" / "coffee.jpg"


def a_request(all_masks=False, **prompts):
    return SegmentRequest(PHOTO, TextPrompts.parse(**prompts), all_masks)


@pytest.mark.parametrize(
    ("prompts", "targets", "message"),
    [
        ({}, ["mask.png"], "nothing to segment"),
        ({"exclude": ["1,2"]}, ["mask.png"], "nothing to segment"),
        ({"click": ["1,2"]}, ["mask.jpg"], "JPEG would blur"),
        ({"click": ["1,2"]}, ["mask.tiff"], "mask.tiff"),
        ({"click": ["1"]}, ["mask.png"], "click"),
        ({"box": ["1,2,3"]}, ["mask.png"], "box"),
        ({"box": ["1,2,3,4", "5,6,7,8"], "click": ["1,2"]}, ["mask.png"], "clicks are ambiguous"),
    ],
)
def test_contradicting_options_are_refused_before_anything_is_loaded(prompts, targets, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        a_request(**prompts).check(SegmentFiles(*[tmp_path / name for name in targets]))


def test_all_masks_can_be_kept_for_a_single_click_only(tmp_path):
    a_request(click=["1,2"], all_masks=True).check(SegmentFiles(tmp_path / "mask.png"))
    with pytest.raises(ValueError, match="single --click"):
        a_request(click=["1,2", "3,4"], all_masks=True).check(SegmentFiles(tmp_path / "mask.png"))


def test_a_label_map_numbers_the_masks_in_the_order_of_the_boxes_with_small_masks_on_top():
    masks = np.zeros((2, 4, 4), bool)
    masks[0, 1, 1] = True
    masks[1] = True
    labels = label_map(masks)
    assert labels[1, 1] == 1 and (labels == 2).sum() == 15
    assert label_map(masks[:1]).max() == 255


def lines_of(events):
    return [event.text for event in events if event.text]


def test_files_have_the_size_of_the_image(tmp_path):
    model = build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=64"])
    out, overlay = tmp_path / "new" / "mask.png", tmp_path / "overlay.jpg"
    request = a_request(box=["10,10,300,200", "20,20,90,90"])
    lines = lines_of(segment_image(request, model, SegmentFiles(out, overlay)))
    assert [line.split(":")[0] for line in lines[:2]] == ["mask 1", "mask 2"]
    assert lines[2:] == [f"wrote {out}", f"wrote {overlay}"]
    assert Image.open(out).size == Image.open(overlay).size == Image.open(PHOTO).size
    assert Image.open(out).mode == "L"
    three = lines_of(segment_image(a_request(click=["300,150"], all_masks=True), model, SegmentFiles(out)))
    scores = [float(line.split("score ")[1].split(",")[0]) for line in three[:3]]
    assert len(three) == 4 and scores == sorted(scores, reverse=True)


def test_with_a_cache_a_second_click_encodes_nothing(tmp_path, monkeypatch):
    model = build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=64"])
    request = a_request(click=["300,150"])
    files = SegmentFiles(tmp_path / "mask.png")
    plain = list(segment_image(request, model, files))
    assert list(segment_image(request, model, files, cache=tmp_path / "cache")) == plain
    monkeypatch.setattr(model, "encode_image", None)
    assert list(segment_image(request, model, files, cache=tmp_path / "cache")) == plain


def test_a_second_look_can_be_asked_for(tmp_path):
    model = load_model("sam2nb_nano", device="cpu", image_size=128)
    request = a_request(box=["520,250,560,300"])
    by_default, without, twice = (
        list(segment_image(request, model, SegmentFiles(tmp_path / "mask.png"), closer=closer))
        for closer in (None, False, True)
    )
    assert by_default == twice != without


def test_the_command_names_the_option_that_is_wrong():
    result = CliRunner().invoke(app, ["segment", str(PHOTO), "--click", "a,b", "--out", "mask.png"])
    assert result.exit_code != 0 and "click" in str(result.exception)
    assert "--overlay" in CliRunner().invoke(app, ["segment", "--help"], env={"COLUMNS": "200"}).output


BOXES = "x_min,y_min,x_max,y_max,class_name,confidence\n174,18,408,308,cup,0.9\n326,66,425,327,spoon,0.7\n"


@pytest.fixture
def command(monkeypatch):
    model = build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=64"])
    monkeypatch.setattr("sam2nb.cli.options.load_chosen_model", lambda *_: model)
    return lambda *words: CliRunner().invoke(app, ["segment", str(PHOTO), *map(str, words)])


def test_boxes_of_a_detector_become_masks_with_their_classes(command, tmp_path):
    (tmp_path / "boxes.csv").write_text(BOXES)
    targets = ["--out", tmp_path / "a.png", "--overlay", tmp_path / "a.jpg", "--coco", tmp_path / "a.json"]
    done = command("--boxes", tmp_path / "boxes.csv", *targets)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "mask 1 (cup): score" in done.output and "mask 2 (spoon): score" in done.output
    records, size_hw = load_coco(tmp_path / "a.json")
    assert size_hw == (400, 600) and [record["class_name"] for record in records] == ["cup", "spoon"]
    assert [record["confidence"] for record in records] == pytest.approx([0.9, 0.7])
    by_box = command("--box", "174,18,408,308", "--box", "326,66,425,327", "--names", "cup,spoon", *targets)
    assert by_box.output == done.output
    same = [record["segmentation"] for record in load_coco(tmp_path / "a.json")[0]]
    assert same == [record["segmentation"] for record in records]


def test_boxes_outside_the_image_give_an_empty_map(command, tmp_path):
    (tmp_path / "boxes.csv").write_text("x1,y1,x2,y2\n900,900,950,950\n")
    done = command("--boxes", tmp_path / "boxes.csv", "--out", tmp_path / "a.png", "--coco", tmp_path / "a.json")
    assert done.exit_code == 0 and "no box on the image" in done.output
    assert not np.asarray(Image.open(tmp_path / "a.png")).any() and load_coco(tmp_path / "a.json")[0] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--boxes", "boxes.csv", "--click", "1,2"), "cannot be combined with other prompts"),
        (("--boxes", "boxes.csv", "--names", "cup,spoon"), "--names cannot be combined with --boxes"),
        (("--boxes", "boxes.csv", "--all"), "--all is for a single --click"),
        (("--boxes", "gone.csv"), "no file or folder 'gone.csv'"),
        (("--click", "1,2", "--names", "cup,spoon"), "got 2 for 1"),
        (("--click", "1,2", "--names", "cup,,"), "names separated by commas"),
        (("--click", "1,2", "--coco", "a.txt"), "must end in .json"),
    ],
)
def test_boxes_and_names_that_make_no_sense_are_refused(command, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boxes.csv").write_text(BOXES)
    done = command(*words, "--out", "mask.png")
    assert done.exit_code != 0 and message in str(done.exception)
    assert not (tmp_path / "mask.png").exists()


def test_without_a_file_to_write_the_masks_go_to_a_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("-c", "300,150")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "wrote masks/coffee_mask.png" in done.output
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["coffee_mask.png", "coffee_overlay.jpg"]


def test_what_is_reported_or_shown_is_not_written_as_well(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("--box", "174,18,408,308", "--names", "cup", "--json", "-")
    (result,) = json.loads(done.stdout)["results"]
    (mask,) = result["masks"]
    assert result["size_hw"] == [400, 600] and mask["class_name"] == "cup" and 0 <= mask["predicted_iou"] <= 1
    assert as_rle(mask["segmentation"]).area == mask["area"]
    shown = []
    monkeypatch.setattr("sam2nb.cli.show.show", shown.append)
    assert command("-c", "300,150", "--show").exit_code == 0
    assert shown[0].shape == (400, 600, 3) and not list(tmp_path.iterdir())


def test_a_folder_is_not_an_image(command):
    done = CliRunner().invoke(app, ["segment", str(PHOTO.parent), "-c", "1,2"])
    assert "is a folder: segment takes one image" in str(done.exception)


@pytest.mark.slow
@pytest.mark.genuine
def test_a_click_on_the_spoon_segments_the_spoon(genuine_tiny, tmp_path):
    out = tmp_path / "spoon.png"
    list(segment_image(a_request(click=["385,290"]), genuine_tiny, SegmentFiles(out)))
    mask = np.asarray(Image.open(out)) > 0
    assert mask[290, 385] and not mask[242, 148] and 0.015 < mask.mean() < 0.035
