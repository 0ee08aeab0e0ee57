"""The widgets' Python side: prompts in, masks out, and a still picture for where widgets cannot run."""

from __future__ import annotations

import base64
import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from sam2nb.widgets.prompt import Answer, BoxPrompt, PromptWidget, mask_finder

IMAGE = np.full((60, 80, 3), 90, np.uint8)


class Asked:
    """A `segment` that keeps what it was asked and answers with a square around the last click, or the box."""

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


def test_scripted_prompts_are_answered_at_once():
    segment = Asked()
    widget = PromptWidget(IMAGE, segment, points=[[40, 30]], labels=[1], box=[10, 10, 30, 30])
    assert segment.calls == [([[40, 30]], [1], [10, 10, 30, 30])]
    assert widget.mask.sum() == 500 and widget.score == 0.875
    assert widget.status == "1 click and 1 box: 10.4% of the picture, score 0.88"


def test_what_the_browser_reports_is_segmented_and_sent_back():
    widget = PromptWidget(IMAGE, Asked())
    assert widget.mask is None and widget.overlay == b"" and widget.status == "Click on an object."
    widget.set_state({"clicks": [[40.5, 30.25, 1], [60, 20, 0]]})
    assert widget.points.tolist() == [[40.5, 30.25], [60, 20]] and widget.labels.tolist() == [1, 0]
    overlay = np.asarray(Image.open(io.BytesIO(widget.overlay)))
    assert overlay.shape == (60, 80, 4)
    assert ((overlay[..., 3] > 0) == widget.mask).all()
    widget.set_state({"clicks": []})
    assert widget.mask is None and widget.overlay == b""


def test_clearing_clicks_and_box_together_asks_once():
    segment = Asked()
    widget = PromptWidget(IMAGE, segment, points=[[40, 30]], box=[10, 10, 30, 30])
    turn = widget.turn
    widget.set_state({"clicks": [], "corners": []})
    assert len(segment.calls) == 1 and widget.turn == turn + 1 and widget.box is None


def test_an_error_is_shown_under_the_picture_and_the_next_click_works():
    def segment(points, labels, box):
        if len(points) == 2:
            raise RuntimeError("out of memory")
        return np.ones((60, 80), bool)

    widget = PromptWidget(IMAGE, segment, points=[[1, 1]])
    widget.set_state({"clicks": [[1, 1, 1], [2, 2, 1]]})
    assert widget.status == "RuntimeError: out of memory" and widget.mask is None and widget.overlay == b""
    widget.set_state({"clicks": [[1, 1, 1]]})
    assert widget.mask.all() and widget.score is None


def test_an_error_for_scripted_prompts_is_raised():
    def segment(points, labels, box):
        raise RuntimeError("no image is set")

    with pytest.raises(RuntimeError, match="no image is set"):
        PromptWidget(IMAGE, segment, points=[[1, 1]])


@pytest.mark.parametrize("labels", [[1], [1, 2]])
def test_labels_must_fit_the_points(labels):
    with pytest.raises(ValueError, match="labels"):
        PromptWidget(IMAGE, Asked(), points=[[1, 1], [2, 2]], labels=labels)


def test_a_large_picture_travels_small_but_answers_in_its_own_pixels():
    large = np.zeros((1500, 3000, 3), np.uint8)

    def segment(points, labels, box):
        return Answer(np.arange(3000)[None] < np.full((1500, 1), points[0, 0]), 0.5)

    widget = PromptWidget(large, segment, points=[[1500, 700]])
    assert Image.open(io.BytesIO(widget.picture)).size == (900, 450)
    assert Image.open(io.BytesIO(widget.overlay)).size == (900, 450)
    assert widget.size == [3000, 1500] and widget.mask.shape == (1500, 3000)


def test_a_still_picture_and_a_line_of_text_go_beside_the_live_view():
    widget = PromptWidget(IMAGE, Asked(), points=[[40, 30]])
    data, _ = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == f"PromptWidget: {widget.status}"
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert picture.width > 100
    blue = np.asarray(picture.convert("RGB")).astype(int)
    assert ((blue[..., 2] - blue[..., 0]) > 40).sum() > 50, "the mask must be visible"


def test_the_box_prompt_starts_with_a_box_and_reads_what_was_drawn():
    drawing = BoxPrompt(IMAGE, box=[10, 20, 30, 50], name="cup")
    assert drawing.box.tolist() == [10, 20, 30, 50]
    drawing.widget.bboxes = [{"x": 1, "y": 2, "width": 3, "height": 4, "label": "cup"}]
    assert drawing.boxes.tolist() == [[1, 2, 4, 6]]
    drawing.widget.bboxes = []
    assert drawing.box.tolist() == [10, 20, 30, 50]
    data, _ = drawing._repr_mimebundle_()
    assert data["text/plain"] == "BoxPrompt: box 10, 20, 30, 50" and "image/jpeg" in data


def test_the_mask_finder_takes_the_best_of_three_for_one_click_and_one_answer_otherwise():
    class Predictor:
        def __init__(self):
            self.asked = []

        def set_image(self, image):
            self.image = image

        def predict(self, point_coords=None, point_labels=None, box=None, multimask_output=True):
            self.asked.append((point_coords is not None, box is not None, multimask_output))
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
    assert predictor.asked == [(True, False, True), (True, False, False), (False, True, False)]
