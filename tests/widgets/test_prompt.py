"""The Python side of the prompt widgets: prompts in, masks out, and a static picture where widgets cannot run."""

from __future__ import annotations

import base64
import io
import re

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from sam2nb import plotting
from sam2nb.widgets.prompt import STATIC, BoxPrompt, Prediction, PromptWidget, mask_finder

IMAGE = np.full((60, 80, 3), 90, np.uint8)


class RecordingSegment:
    """A `segment` that records its calls and predicts the box with a square around each click."""

    def __init__(self):
        self.calls = []

    def __call__(self, points, labels, box):
        self.calls.append((points.tolist(), labels.tolist(), None if box is None else box.tolist()))
        mask = np.zeros((60, 80), bool)
        if box is not None:
            x1, y1, x2, y2 = box.astype(int)
            mask[y1:y2, x1:x2] = True
        for (x, y), label in zip(points.astype(int), labels, strict=True):
            mask[max(y - 5, 0) : y + 5, max(x - 5, 0) : x + 5] = bool(label)
        return mask, 0.875


def test_the_first_prompts_are_segmented_at_once():
    segment = RecordingSegment()
    widget = PromptWidget(IMAGE, segment, points=[[40, 30]], labels=[1], box=[10, 10, 30, 30])
    assert segment.calls == [([[40, 30]], [1], [10, 10, 30, 30])]
    assert widget.mask.sum() == 500 and widget.score == 0.875
    assert widget.status == "1 click and 1 box: 10.4% of the picture, score 0.88"


def test_prompts_from_the_browser_are_segmented_and_the_mask_is_sent_back():
    widget = PromptWidget(IMAGE, RecordingSegment())
    assert widget.mask is None and widget.overlay == b"" and widget.status == "Click on an object."
    widget.set_state({"clicks": [[40.5, 30.25, 1], [60, 20, 0]]})
    assert widget.points.tolist() == [[40.5, 30.25], [60, 20]] and widget.labels.tolist() == [1, 0]
    overlay = np.asarray(Image.open(io.BytesIO(widget.overlay)))
    assert overlay.shape == (60, 80, 4)
    assert ((overlay[..., 3] > 0) == widget.mask).all()
    widget.set_state({"clicks": []})
    assert widget.mask is None and widget.overlay == b""


def test_clearing_clicks_and_box_together_updates_once():
    segment = RecordingSegment()
    widget = PromptWidget(IMAGE, segment, points=[[40, 30]], box=[10, 10, 30, 30])
    revision = widget.revision
    widget.set_state({"clicks": [], "corners": []})
    assert len(segment.calls) == 1 and widget.revision == revision + 1 and widget.box is None


def test_an_error_is_shown_below_the_image_and_the_next_click_works():
    def segment(points, labels, box):
        if len(points) == 2:
            raise RuntimeError("out of memory")
        return np.ones((60, 80), bool)

    widget = PromptWidget(IMAGE, segment, points=[[1, 1]])
    widget.set_state({"clicks": [[1, 1, 1], [2, 2, 1]]})
    assert widget.status == "RuntimeError: out of memory" and widget.mask is None and widget.overlay == b""
    widget.set_state({"clicks": [[1, 1, 1]]})
    assert widget.mask.all() and widget.score is None


def test_an_error_for_the_first_prompts_is_raised():
    def segment(points, labels, box):
        raise RuntimeError("no image is set")

    with pytest.raises(RuntimeError, match="no image is set"):
        PromptWidget(IMAGE, segment, points=[[1, 1]])


@pytest.mark.parametrize("labels", [[1], [1, 2]])
def test_labels_must_fit_the_points(labels):
    with pytest.raises(ValueError, match="labels"):
        PromptWidget(IMAGE, RecordingSegment(), points=[[1, 1], [2, 2]], labels=labels)


def test_a_large_image_is_sent_small_but_segmented_in_its_own_pixels():
    large = np.zeros((1500, 3000, 3), np.uint8)

    def segment(points, labels, box):
        return Prediction(np.arange(3000)[None] < np.full((1500, 1), points[0, 0]), 0.5)

    widget = PromptWidget(large, segment, points=[[1500, 700]])
    assert Image.open(io.BytesIO(widget.picture)).size == (900, 450)
    assert Image.open(io.BytesIO(widget.overlay)).size == (900, 450)
    assert widget.size == [3000, 1500] and widget.mask.shape == (1500, 3000)


def test_a_static_picture_and_a_line_of_text_are_stored_beside_the_live_view():
    widget = PromptWidget(IMAGE, RecordingSegment(), points=[[40, 30]])
    data, _ = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == f"PromptWidget: {widget.status}"
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert picture.width > 100
    blue = np.asarray(picture.convert("RGB")).astype(int)
    assert ((blue[..., 2] - blue[..., 0]) > 40).sum() > 50, "the mask must be visible"


def test_the_box_prompt_starts_with_a_box_and_returns_the_one_drawn_last():
    drawing = BoxPrompt(IMAGE, box=[10, 20, 30, 50], name="cup")
    assert drawing.box.tolist() == [10, 20, 30, 50]
    drawing.widget.bboxes = [{"x": 1, "y": 2, "width": 3, "height": 4, "label": "cup"}]
    assert drawing.boxes.tolist() == [[1, 2, 4, 6]]
    drawing.widget.bboxes = []
    assert drawing.box.tolist() == [10, 20, 30, 50]
    data, _ = drawing._repr_mimebundle_()
    assert data["text/plain"] == "BoxPrompt: box 10, 20, 30, 50" and "image/jpeg" in data


def test_the_mask_finder_takes_the_best_of_three_masks_for_one_click_and_a_single_mask_otherwise():
    class Predictor:
        def __init__(self):
            self.calls = []

        def set_image(self, image):
            self.image = image

        def predict(self, point_coords=None, point_labels=None, box=None, multimask_output=True):
            self.calls.append((point_coords is not None, box is not None, multimask_output))
            masks = np.zeros((3 if multimask_output else 1, 60, 80), bool)
            masks[-1] = True
            return masks, np.linspace(0.5, 0.9, len(masks)), None

    predictor = Predictor()
    segment = mask_finder(predictor, IMAGE)
    assert predictor.image is IMAGE
    one, two = np.zeros((1, 2)), np.zeros((2, 2))
    assert segment(one, np.ones(1), None).mask.all()
    segment(two, np.ones(2), None)
    segment(np.zeros((0, 2)), np.zeros(0), np.array([1, 1, 9, 9]))
    assert predictor.calls == [(True, False, True), (True, False, False), (False, True, False)]


def test_the_browser_uses_the_colours_of_plotting():
    script, style = (STATIC / "prompt_widget.js").read_text(), (STATIC / "prompt_widget.css").read_text()
    colors = {"INCLUDE": plotting.INCLUDE_COLOR, "EXCLUDE": plotting.EXCLUDE_COLOR, "BOX": plotting.BOX_COLOR}
    assert set(re.findall(r'const (\w+) = "(#\w{6})"', script)) == set(colors.items())
    assert set(re.findall(r"#[0-9A-F]{6}", style)) <= set(plotting.PALETTE), "greys are written in lower case"
