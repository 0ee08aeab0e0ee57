"""The protocols of clicks, boxes and clips, on predictors whose masks are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb.evaluation.protocols import ImageScores, evaluate_images, evaluate_video, save_scores, tight_box
from sam2nb.evaluation.samples import LabelledClip, LabelledImage, LabelledImages, SampleError

SIZE_HW = (40, 60)


def rectangle(top, left, bottom, right):
    mask = np.zeros(SIZE_HW, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


TRUTH = rectangle(10, 10, 30, 50)
HALF = rectangle(10, 10, 30, 30)


class Scripted:
    """Predicts three masks from the first click, the truth from later ones; records every call."""

    def __init__(self):
        self.calls = []

    def set_image(self, image):
        self.image = image

    def predict(self, point_coords=None, point_labels=None, box=None, mask_input=None, multimask_output=True):
        self.calls.append(SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"}))
        low = np.arange(3 if multimask_output else 1)[:, None, None] * np.ones((1, 8, 8), np.float32)
        if box is not None:
            return TRUTH[None], np.array([0.9]), low
        if multimask_output:
            return np.stack([~TRUTH, HALF, TRUTH]), np.array([0.1, 0.9, 0.5]), low
        return TRUTH[None], np.array([0.9]), low


def one_image(load=None):
    sample = LabelledImage("a", np.zeros((*SIZE_HW, 3), np.uint8), TRUTH[None])
    return LabelledImages("here", ("a",), load or (lambda name: sample))


def test_the_first_click_takes_the_mask_with_the_best_predicted_not_the_best_true_iou():
    predictor = Scripted()
    scores = evaluate_images(predictor, one_image(), clicks=(1, 2, 3), progress=False)
    assert scores.mean() == {"box": 1.0, "clicks_1": 0.5, "clicks_2": 1.0, "clicks_3": 1.0}


def test_later_clicks_add_to_all_clicks_and_the_last_logits_and_stop_when_perfect():
    predictor = Scripted()
    evaluate_images(predictor, one_image(), clicks=(5,), box=False, progress=False)
    first, second = predictor.calls  # a third would have no error to correct
    assert first.multimask_output and first.mask_input is None and first.point_labels.tolist() == [1]
    assert not second.multimask_output and (second.mask_input == 1).all()  # logits of the chosen mask
    assert second.point_coords.shape == (2, 2) and second.point_labels.tolist() == [1, 1]
    x, y = second.point_coords[1]
    assert 30 <= x < 50 and 10 <= y < 30  # in the missing half


def test_the_box_is_tight_and_predicts_a_single_mask():
    predictor = Scripted()
    evaluate_images(predictor, one_image(), clicks=(), progress=False)
    assert predictor.calls[0].box.tolist() == [10, 10, 49, 29] and not predictor.calls[0].multimask_output
    with pytest.raises(SampleError, match="no box"):
        tight_box(np.zeros(SIZE_HW, bool))


def test_scores_are_told_apart_by_the_size_of_the_objects():
    scores = ImageScores("here", [0.1, 0.2, 0.3, 0.5], {1: [0.4, 0.6, 0.8, 0.2]}, [10, 32**2, 32**2 + 1, 96**2 + 1])
    parts = scores.by_size()
    assert list(parts) == ["small", "medium", "large"] and [part.objects for part in parts.values()] == [2, 1, 1]
    assert parts["small"].mean() == pytest.approx({"box": 0.15, "clicks_1": 0.5})
    assert parts["large"].mean() == {"box": 0.5, "clicks_1": 0.2}
    assert list(ImageScores("here", [0.1], {}, [50]).by_size()) == ["small"]


def test_an_object_one_pixel_wide_is_noted_and_left_out():
    thin = np.zeros(SIZE_HW, bool)
    thin[5:20, 7] = True
    sample = LabelledImage("a", np.zeros((*SIZE_HW, 3), np.uint8), np.stack([thin, TRUTH]))
    scores = evaluate_images(Scripted(), one_image(lambda name: sample), clicks=(1,), progress=False)
    assert scores.objects == 1 and scores.areas == [int(TRUTH.sum())]
    assert scores.problems == ["a: an object one pixel wide or high, which no box can show"]


def test_a_broken_sample_is_noted_and_the_others_are_scored():
    def load(name):
        if name == "b":
            raise SampleError("b: mask is missing")
        return one_image().load("a")

    data = LabelledImages("here", ("a", "b", "c"), load)
    scores = evaluate_images(Scripted(), data, clicks=(1,), progress=False)
    assert scores.objects == 2 and scores.problems == ["b: mask is missing"]


class Follower:
    """A tracker that repeats the prompted mask on every frame, except for one frame where it loses the object."""

    def __init__(self, lost=None):
        self.lost, self.prompts = lost, []

    def init_state(self, frames):
        return SimpleNamespace(count=len(frames), masks={})

    def add_new_mask(self, state, frame, obj_id, mask):
        state.masks[obj_id] = mask
        self.prompts.append((frame, obj_id))

    def propagate_in_video(self, state, start_frame_idx):
        for frame in range(start_frame_idx, state.count):
            masks = [np.zeros(SIZE_HW) if frame == self.lost else m for m in state.masks.values()]
            yield frame, list(state.masks), torch.tensor(np.stack(masks)[:, None] * 2.0 - 1.0)


@pytest.fixture
def clip(tmp_path):
    frames = []
    for i in range(6):
        frames.append(tmp_path / f"{i}.png")
        Image.new("RGB", SIZE_HW[::-1]).save(frames[-1])
    return LabelledClip(
        "clip", tuple(frames), {7: tuple(range(6))}, lambda frame, obj: TRUTH if frame else TRUTH & False
    )


def test_an_object_is_prompted_where_it_first_appears_and_scored_without_its_first_and_last_frame(clip):
    tracker = Follower(lost=5)
    scores = evaluate_video(tracker, [clip], progress=False)
    assert tracker.prompts == [(1, 7)]
    assert scores.objects == {"clip/7": (1.0, 1.0, 1.0)}  # frame 5 is lost, but it is the last
    assert evaluate_video(Follower(lost=3), [clip], progress=False).mean().j == pytest.approx(2 / 3)


def test_unknown_prompts_are_rejected(clip):
    with pytest.raises(ValueError, match="mask, box, click"):
        evaluate_video(Follower(), [clip], prompt="lasso", progress=False)


def test_scores_are_saved_as_means_and_single_values(tmp_path):
    scores = evaluate_images(Scripted(), one_image(), clicks=(1,), progress=False)
    save_scores(tmp_path / "out" / "scores.json", "nano", {"image_size": 256}, scores)
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert record["images"]["mean"] == {"box": 1.0, "clicks_1": 0.5} and record["images"]["box"] == [1.0]
