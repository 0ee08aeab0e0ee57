"""Figures and images as small files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sam2nb import plotting

GREY = np.full((60, 80, 3), 128, np.uint8)


def test_photographs_become_small_jpegs_and_charts_pngs(tmp_path):
    photo = plotting.show_image(GREY)
    chart = plotting.bar_chart(["one", "two"], [1, 2], "title")
    assert plotting.notebook_bytes(photo.figure, "jpeg")[:2] == b"\xff\xd8"
    assert plotting.notebook_bytes(photo.figure, "png") is None
    assert plotting.notebook_bytes(chart.figure, "png")[1:4] == b"PNG"
    saved = plotting.save_figure(photo, tmp_path / "sub" / "photo.jpg")
    assert saved.stat().st_size < 30_000
    with pytest.raises(ValueError, match="photo.tiff"):
        plotting.save_figure(photo, tmp_path / "photo.tiff")


def test_a_chart_keeps_its_colours_with_a_palette():
    chart = Image.open(io.BytesIO(plotting.figure_bytes(plotting.bar_chart(["one"], [1], "title").figure)))
    assert chart.mode == "P"
    colors = {color for _, color in chart.convert("RGB").getcolors()}
    assert {(255, 255, 255), plotting.color_of(0)} < colors


def test_a_caption_is_written_under_every_figure_until_it_is_removed():
    def height(figure):
        return Image.open(io.BytesIO(plotting.figure_bytes(figure))).height

    plain = height(plotting.show_image(GREY).figure)
    plotting.set_caption("RANDOM WEIGHTS")
    figure = plotting.show_image(GREY).figure
    assert height(figure) > plain
    assert [text.get_text() for text in figure.texts] == ["RANDOM WEIGHTS"]
    plotting.set_caption(None)
    assert height(plotting.show_image(GREY).figure) == plain


def test_the_longer_side_of_a_jpeg_can_be_limited():
    encoded = Image.open(io.BytesIO(plotting.jpeg_bytes(GREY, longest=40)))
    assert encoded.format == "JPEG" and encoded.size == (40, 30)


def test_the_alternative_text_goes_into_the_metadata_of_the_stored_image():
    figure = plotting.show_image(GREY).figure
    assert plotting.notebook_image(figure, "jpeg")[1] == {}
    plotting.alt_text("a grey square")
    encoded, metadata = plotting.notebook_image(figure, "jpeg")
    assert encoded[:2] == b"\xff\xd8" and metadata == {"alt": "a grey square"}
    assert plotting.notebook_image(figure, "png") is None
