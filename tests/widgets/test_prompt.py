"""The Python side of the prompt widgets: prompts in, masks out, and a static picture where widgets cannot run."""

from __future__ import annotations

import base64
import io
import json

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from sam2nb import SAM2ImagePredictor, plotting
from sam2nb.widgets.prompt import BoxPrompt, Prediction, PromptWidget, mask_finder

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


class Browser:
    """What the JavaScript does: change the prompts, and send requests whose answers it keeps."""

    def __init__(self, widget):
        self.widget, self.answers = widget, []
        widget.send = lambda content, buffers=None: self.answers.append((content, buffers))

    def prompt(self, *states, selected=None):
        states = [{"id": row, **state} for row, state in enumerate(states, start=1)]
        self.widget.set_state({"prompts": states, "selected": selected or len(states)})

    def ask(self, **content):
        self.widget._handle_custom_msg({**content, "request": "r1"}, [])
        return self.answers[-1]


@pytest.fixture(scope="module")
def predictor(random_model, noise):
    predictor = SAM2ImagePredictor(random_model)
    predictor.set_image(noise)
    return predictor


def test_the_first_prompts_are_segmented_at_once():
    segment = RecordingSegment()
    widget = PromptWidget(IMAGE, segment, points=[[40, 30]], labels=[1], box=[10, 10, 30, 30])
    assert segment.calls == [([[40, 30]], [1], [10, 10, 30, 30])]
    assert widget.mask.sum() == 500 and widget.score == 0.875
    assert widget.status == "1 click and 1 box: 10.4% of the picture, score 0.88"


def test_prompts_from_the_browser_are_segmented_and_the_mask_is_sent_back():
    widget = PromptWidget(IMAGE, RecordingSegment())
    browser = Browser(widget)
    assert widget.mask is None and widget.layers == {} and widget.masks.shape == (0, 60, 80)
    browser.prompt({"points": [[40.5, 30.25, 1], [60, 20, 0]]})
    assert widget.points.tolist() == [[40.5, 30.25], [60, 20]] and widget.labels.tolist() == [1, 0]
    layer, (x1, y1, x2, y2) = widget.layers["1"], widget.layers["1"]["boxes"][0]
    opacity = np.zeros((60, 80), np.uint8)
    opacity[y1:y2, x1:x2] = np.asarray(Image.open(io.BytesIO(layer["masks"][0])).convert("RGBA"))[..., 3]
    assert ((opacity > 127) == widget.mask).mean() > 0.99, "the edge is smooth, the rest is the mask"
    assert opacity[y1:y2, x1:x2].size < opacity.size, "only the mask travels"
    browser.prompt({"points": []})
    assert widget.mask is None and widget.layers == {}


def test_several_objects_have_a_mask_each_and_only_those_that_change_are_segmented():
    segment = RecordingSegment()
    widget = PromptWidget(IMAGE, segment, objects=[{"name": "cup", "box": [2, 2, 12, 12]}, {"points": [[40, 30, 1]]}])
    assert widget.masks.sum(axis=(1, 2)).tolist() == [100, 100] and len(segment.calls) == 2
    Browser(widget).prompt({"name": "cup", "box": [2, 2, 12, 12]}, {"points": [[40, 30, 1], [60, 30, 1]]}, {})
    assert len(segment.calls) == 3 and widget.masks.shape == (2, 60, 80)
    assert widget.boxes[0].tolist() == [2, 2, 12, 12] and widget.boxes[1] is None
    assert [prompts.name for prompts in widget.objects] == ["cup", "object 2"]
    assert len(widget.points) == 2, "a new object is empty: the one before it counts"


def test_an_error_is_shown_below_the_image_prompts_stay_and_the_next_click_works():
    def segment(points, labels, box):
        if len(points) == 2:
            raise RuntimeError("out of memory\nTried to allocate")
        return np.ones((60, 80), bool)

    widget = PromptWidget(IMAGE, segment, points=[[1, 1]])
    browser = Browser(widget)
    browser.prompt({"points": [[1, 1, 1], [2, 2, 1]]})
    assert widget.status == "RuntimeError: out of memory" and widget.mask is None and widget.layers == {}
    assert len(widget.points) == 2
    browser.prompt({"points": [[1, 1, 1]]})
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


def test_what_cannot_segment_is_refused():
    with pytest.raises(TypeError, match="segment must be a SAM2ImagePredictor or a function, got str"):
        PromptWidget(IMAGE, "sam2nb_nano")


def test_a_large_image_is_sent_small_but_segmented_in_its_own_pixels():
    large = np.zeros((1500, 3000, 3), np.uint8)

    def segment(points, labels, box):
        return Prediction(np.arange(3000)[None] < np.full((1500, 1), points[0, 0]), 0.5)

    widget = PromptWidget(large, segment, points=[[1500, 700]])
    assert Image.open(io.BytesIO(widget.picture)).size == (1024, 512)
    assert Image.open(io.BytesIO(widget.layers["1"]["masks"][0])).height == 512
    assert widget.layers["1"]["boxes"] == [[0, 0, 515, 512]], "half of 1024 pixels, and an edge"
    assert widget.size == [3000, 1500] and widget.masks.shape == (1, 1500, 3000) and widget.masks.sum() == 1500**2
    content, (pixels,) = Browser(widget).ask(kind="detail", region=[100, 50, 400, 200])
    assert content["region"] == [100, 50, 400, 200] and Image.open(io.BytesIO(pixels)).size == (300, 150)


def test_a_predictor_gives_three_masks_for_a_click_and_the_choice_goes_into_the_next_answer(predictor, noise):
    widget = PromptWidget(noise, predictor, points=[[70, 40]])
    masks, scores, logits = predictor.predict([[70, 40]], [1])
    assert len(widget.layers["1"]["masks"]) == 3 and widget.score == scores.max()
    assert (widget.mask == masks[scores.argmax()]).all()
    browser = Browser(widget)
    browser.prompt({"points": [[70, 40, 1]], "choice": 1})
    assert (widget.mask == masks[1]).all()
    browser.prompt({"points": [[70, 40, 1], [20, 20, 0]], "choice": 1})
    prior = logits[1][None]
    after = predictor.predict([[70, 40], [20, 20]], [1, 0], mask_input=prior, multimask_output=False)
    assert (widget.mask == after.masks[0]).all()


EVERY_KIND = [
    {"points": [[70, 40, 1]], "choice": 2},
    {"points": [[70, 40, 1], [20.25, 20, 0]], "choice": 1, "name": "a name\nof two lines"},
    {"box": [40, 20, 110, 70]},
    {"points": [[90.5, 50, 1], [2, 2, 0]], "look": [60, 20, 130, 80]},
    {"points": [[90, 50, 1]], "look": "closer", "strokes": [{"adds": True, "radius": 4.5, "path": [[5, 5], [30, 9]]}]},
    {"strokes": [{"adds": True, "radius": 9, "path": [[40, 40]]}, {"adds": False, "radius": 3, "path": [[40, 40]]}]},
]


def test_the_code_gives_the_same_masks(predictor, noise):
    widget = PromptWidget(noise, predictor, objects=EVERY_KIND)
    names = {"picture": noise, "sam": SAM2ImagePredictor(predictor.model)}
    exec(widget.code(image="picture", predictor="sam"), names)
    assert widget.masks.shape == (6, 90, 140) and (names["masks"] == widget.masks).all()
    assert widget.masks[5].sum() > 200 and not widget.masks[5][40, 40]
    assert "predict" in widget.script


def test_the_code_for_a_function_gives_the_same_masks():
    widget = PromptWidget(IMAGE, RecordingSegment(), objects=[{"points": [[40, 30, 1]]}, {"box": [2, 2, 12, 12]}])
    names = {"segment": RecordingSegment()}
    exec(widget.code(predictor="segment"), names)
    assert (names["masks"] == widget.masks).all()


def test_two_widgets_share_a_predictor_and_each_keeps_its_image(predictor, noise):
    other = np.ascontiguousarray(noise[::-1, :100])
    shared = SAM2ImagePredictor(predictor.model)
    first, second = PromptWidget(noise, shared), PromptWidget(other, shared)
    for widget in (first, second, first):
        Browser(widget).prompt({"points": [[50, 30, 1], [9, 9, 0]]})
    for widget in (first, second):
        shared.set_image(widget.image)
        expected = shared.predict([[50, 30], [9, 9]], [1, 0], multimask_output=False).masks[0]
        assert (widget.mask == expected).all()


def test_a_preview_is_answered_and_a_click_at_its_place_takes_its_answer(predictor, noise):
    widget = PromptWidget(noise, predictor)
    browser = Browser(widget)
    content, masks = browser.ask(kind="preview", x=70.5, y=40)
    assert content["request"] == "r1" and len(content["scores"]) == len(masks) == 3 and widget.masks.shape[0] == 0
    widget._answered.answers.candidates = None  # not called again
    browser.prompt({"points": [[70.5, 40, 1]]})
    assert widget.layers["1"]["masks"] == masks


def test_every_request_is_answered_if_only_by_a_problem():
    def segment(points, labels, box):
        raise RuntimeError("out of memory")

    browser = Browser(PromptWidget(IMAGE, segment))
    assert browser.ask(kind="preview", x=1, y=1)[0]["problem"] == "RuntimeError: out of memory"
    assert browser.ask(kind="export", format="png")[0]["problem"] == "ValueError: there is no mask to cut out"
    assert "KeyError" in browser.ask(kind="dance")[0]["problem"]


def test_a_cut_out_and_a_coco_file_hold_the_masks(tmp_path):
    objects = [{"name": "cup", "box": [2, 2, 12, 12]}, {"box": [40, 30, 60, 50], "visible": False}]
    widget = PromptWidget(IMAGE, RecordingSegment(), objects=objects)
    with Image.open(widget.save_png(tmp_path / "cut.png")) as cut:
        assert cut.size == (10, 10) and cut.mode == "RGBA" and cut.getpixel((5, 5)) == (90, 90, 90, 255)
    content = json.loads(widget.save_coco(tmp_path / "all.json").read_text())
    assert [a["area"] for a in content["annotations"]] == [100, 400]
    assert {c["name"] for c in content["categories"]} == {"cup", "object"}
    sent, (buffer,) = Browser(widget).ask(kind="export", format="coco")
    assert sent["name"] == "masks_coco.json" and json.loads(buffer) == content


def test_an_image_of_one_pixel_has_a_mask(predictor):
    widget = PromptWidget(np.zeros((1, 1, 3), np.uint8), predictor, points=[[0, 0]])
    assert widget.masks.shape == (1, 1, 1)


def test_random_weights_are_labelled(predictor, noise, monkeypatch):
    assert PromptWidget(noise, predictor).note == "RANDOM WEIGHTS: the masks mean nothing."
    assert PromptWidget(IMAGE, RecordingSegment()).note == ""
    monkeypatch.setattr(plotting.encode, "_caption", "a caption of every figure")
    assert PromptWidget(IMAGE, RecordingSegment()).note == "a caption of every figure"


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
    assert PromptWidget(IMAGE, segment, points=[[1, 1]]).mask.all()
