"""The `segment` command: text prompts in, mask files out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.build import build_sam2
from sam2nb.cli import app
from sam2nb.cli.prompts import TextPrompts
from sam2nb.cli.segment import SegmentFiles, SegmentRequest, label_map, segment_image
from sam2nb.resources import resource_dir

PHOTO = resource_dir("data") / "photos" / "coffee.jpg"


def a_request(all_masks=False, **prompts):
    return SegmentRequest(PHOTO, TextPrompts.parse(**prompts), all_masks)


@pytest.mark.parametrize(
    ("prompts", "targets", "message"),
    [
        ({"click": ["1,2"]}, [], "nothing to write"),
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


def test_files_have_the_size_of_the_image(tmp_path):
    model = build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=64"])
    out, overlay = tmp_path / "new" / "mask.png", tmp_path / "overlay.jpg"
    lines = list(segment_image(a_request(box=["10,10,300,200", "20,20,90,90"]), model, SegmentFiles(out, overlay)))
    assert [line.split(":")[0] for line in lines[:2]] == ["mask 1", "mask 2"] and lines[2:] == [str(out), str(overlay)]
    assert Image.open(out).size == Image.open(overlay).size == Image.open(PHOTO).size
    assert Image.open(out).mode == "L"
    three = list(segment_image(a_request(click=["300,150"], all_masks=True), model, SegmentFiles(out)))
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


def test_the_command_names_the_option_that_is_wrong():
    result = CliRunner().invoke(app, ["segment", str(PHOTO), "--click", "a,b", "--out", "mask.png"])
    assert result.exit_code != 0 and "click" in str(result.exception)
    assert "--overlay" in CliRunner().invoke(app, ["segment", "--help"], env={"COLUMNS": "200"}).output


@pytest.mark.slow
@pytest.mark.genuine
def test_a_click_on_the_spoon_segments_the_spoon(genuine_tiny, tmp_path):
    out = tmp_path / "spoon.png"
    list(segment_image(a_request(click=["385,290"]), genuine_tiny, SegmentFiles(out)))
    mask = np.asarray(Image.open(out)) > 0
    assert mask[290, 385] and not mask[242, 148] and 0.015 < mask.mean() < 0.035
