"""Pictures come out in the right size, with the right things in the right place, and small."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sam2nb import plotting

GREY = np.full((60, 80, 3), 128, np.uint8)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
    plotting.set_caption(None)


def a_mask(y0=10, y1=30, x0=20, x1=50):
    mask = np.zeros((60, 80), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_a_mask_is_painted_in_its_colour_and_nowhere_else():
    drawn = plotting.draw_masks(GREY, a_mask(), opacity=0.5, outline=0)
    expected = np.array(plotting.color_of(0)) * 0.5 + 64
    assert np.abs(drawn[20, 35].astype(int) - expected).max() <= 1
    assert (drawn[~a_mask()] == 128).all()
    assert (GREY == 128).all(), "the picture that was given must stay as it was"


def test_an_object_keeps_its_colour_whichever_masks_are_shown():
    alone = plotting.draw_masks(GREY, a_mask(), colors=[3], outline=0)
    masks = [a_mask(0, 5, 0, 5), a_mask(40, 50, 60, 70), a_mask(50, 55, 0, 5), a_mask()]
    together = plotting.draw_masks(GREY, masks, outline=0)
    assert (alone[20, 35] == together[20, 35]).all()


def test_a_small_mask_stays_visible_on_a_large_one_in_either_order():
    small, large = a_mask(18, 22, 33, 37), a_mask()
    first = plotting.draw_masks(GREY, [small, large], colors=[0, 1], outline=0)
    second = plotting.draw_masks(GREY, [large, small], colors=[1, 0], outline=0)
    assert (first == second).all()
    assert (first[20, 35] != first[12, 25]).any()


@pytest.mark.parametrize("shape", [(60, 80), (1, 60, 80), (2, 60, 80), (2, 1, 60, 80)])
def test_masks_of_every_shape_and_kind_are_read(shape):
    logits = np.full(shape, -3.0, np.float32)
    logits[..., 5:9, 5:9] = 3
    expected = shape[0] if len(shape) > 2 else 1
    for masks in (logits, logits > 0, torch.tensor(logits), torch.tensor(logits, dtype=torch.bfloat16)):
        stack = plotting.as_masks(masks, (60, 80))
        assert stack.shape == (expected, 60, 80) and stack.dtype == bool and stack.sum() == 16 * expected


def test_masks_of_another_size_than_the_picture_are_refused():
    with pytest.raises(ValueError, match=r"\(N, 60, 80\).*\(3, 4\)|\(N, 60, 80\).*\(1, 3, 4\)"):
        plotting.show_masks(GREY, np.zeros((3, 4), bool))


@pytest.mark.parametrize(
    "image",
    [
        np.full((6, 8), 0.5),
        np.full((6, 8, 1), 128, np.uint8),
        np.full((6, 8, 4), 128, np.uint8),
        np.full((6, 8), 128 * 257, np.uint16),
        torch.full((3, 6, 8), 0.5),
        Image.new("L", (8, 6), 128),
    ],
)
def test_pictures_of_every_kind_become_rgb_bytes(image):
    picture = plotting.as_picture(image)
    assert picture.shape == (6, 8, 3) and picture.dtype == np.uint8
    assert abs(int(picture[0, 0, 0]) - 128) <= 1


def test_points_need_one_label_each():
    with pytest.raises(ValueError, match="labels has 1 entries for 2 points"):
        plotting.show_masks(GREY, a_mask(), points=[[1, 1], [2, 2]], labels=[1])


def test_side_by_side_repeats_one_picture_and_keeps_each_panels_prompts():
    figure = plotting.side_by_side(
        GREY, ["a", "b"], [a_mask(), None], [[0.5], None], [[[5, 5]], None], [[1], None], [None, [1, 1, 9, 9]]
    )
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    assert texts(figure) == ["0.50"]
    assert len(figure.axes[0].collections) == 2 and len(figure.axes[1].lines) == 2


def test_side_by_side_wants_one_entry_per_panel():
    with pytest.raises(ValueError, match="masks has 1 entries for 2 panels"):
        plotting.side_by_side([GREY, GREY], masks=[a_mask()])


def test_score_labels_stay_inside_the_picture():
    corner = np.zeros((60, 80), bool)
    corner[:2, :2] = True
    ax = plotting.show_masks(GREY, corner, scores=[0.123])
    x, y = ax.texts[0].get_position()
    assert 0 < x < 80 and 0 < y < 60


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


def test_a_caption_is_written_into_every_picture_until_it_is_taken_away():
    def height(figure):
        return Image.open(io.BytesIO(plotting.figure_bytes(figure))).height

    plain = height(plotting.show_image(GREY).figure)
    plotting.set_caption("RANDOM WEIGHTS")
    figure = plotting.show_image(GREY).figure
    assert height(figure) > plain
    assert [text.get_text() for text in figure.texts] == ["RANDOM WEIGHTS"]
    plotting.set_caption(None)
    assert height(plotting.show_image(GREY).figure) == plain


def test_pca_colours_are_the_same_for_flipped_signs_of_the_decomposition():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(8, 5, 7))
    colors = plotting.pca_colors(features)
    assert colors.shape == (5, 7, 3) and colors.dtype == np.uint8
    assert (colors == plotting.pca_colors(torch.tensor(features)[None])).all()
    assert (colors == plotting.pca_colors(features, reference=features)).all()
    assert colors.std(axis=(0, 1)).min() > 20, "every colour channel carries something"


def test_a_map_with_both_signs_is_centred_on_zero():
    ax = plotting.show_map(np.array([[-1.0, 3.0]]))
    assert ax.images[0].get_clim() == (-3.0, 3.0)
    assert plotting.show_map(np.array([[1.0, 3.0]])).images[0].get_clim() == (1.0, 3.0)
    with pytest.raises(ValueError, match="two dimensions"):
        plotting.show_map(np.zeros((2, 3, 4)))
