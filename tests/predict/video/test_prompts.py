"""Prompts of one frame: accepted in every usual form, refused with a clear error, without touching the session."""

import numpy as np
import pytest
import torch

from sam2nb.predict.video.prompts import join_points, read_mask, read_points
from tests.predict.video.clips import CLICK, COUNT, SIZE_HW, frame, run


def points_of(session, **prompt):
    defaults = {"points": None, "labels": None, "box": None, "normalize_coords": True}
    return read_points(session, **{**defaults, **prompt})


def test_points_are_scaled_to_the_model_s_input(session):
    height, width = SIZE_HW
    prompt = points_of(session, points=[[width, height / 2]], labels=[1])
    assert prompt.points.tolist() == [[[64.0, 32.0]]] and prompt.labels.tolist() == [[1]]
    same = points_of(session, points=[[1.0, 0.5]], labels=[1], normalize_coords=False)
    assert torch.equal(same.points, prompt.points)


def test_the_corners_of_a_box_come_before_the_points(session):
    prompt = points_of(session, points=[[20, 20]], labels=[0], box=[8, 10, 28, 30])
    assert prompt.labels.tolist() == [[2, 3, 0]]


def test_joined_points_follow_the_earlier_ones_and_replace_a_mask(session):
    first, second = points_of(session, **CLICK), points_of(session, points=[[5, 5]], labels=[0])
    assert join_points(first, second).labels.tolist() == [[1, 0]]
    assert join_points(None, second) is second
    assert join_points(read_mask(session, np.ones(SIZE_HW)), second) is second


def test_a_mask_is_kept_at_its_own_size(session):
    inside = np.zeros(SIZE_HW, bool)
    inside[:20] = True
    assert torch.equal(read_mask(session, inside).mask[0, 0], torch.from_numpy(inside))
    of_the_model = torch.rand(64, 64) > 0.5
    assert torch.equal(read_mask(session, of_the_model).mask[0, 0], of_the_model)


def test_a_mask_may_come_in_any_dtype(predictor, session):
    inside = frame(0)[..., 0] > 150
    predictions = [
        predictor.add_new_mask(session, 0, index, mask).masks[-1]
        for index, mask in enumerate([inside, inside.astype(np.uint8) * 255, torch.from_numpy(inside)[None]])
    ]
    assert all(torch.equal(masks, predictions[0]) for masks in predictions)
    agreement = ((predictions[0][0].numpy() > 0) == inside).mean()
    assert agreement > 0.95


# --- errors -----------------------------------------------------------------------------------------------------------


MISTAKES = {
    "no prompt at all": ({}, "say where the object is"),
    "points without labels": ({"points": [[1, 1]]}, "labels"),
    "an unknown label": ({"points": [[1, 1]], "labels": [7]}, "labels"),
    "a box inside out": ({"box": [30, 30, 10, 10]}, "x1 < x2"),
    "a box after points": ({"box": [3, 3, 10, 10], "clear_old_points": False}, "before points"),
    "points of two objects": ({"points": [[[1, 1]], [[2, 2]]], "labels": [[1], [1]]}, "one object"),
    "not a number": ({"points": [[np.nan, 1]], "labels": [1]}, "NaN"),
    "a frame beyond the end": ({"frame_idx": COUNT, **CLICK}, "0..7"),
    "a frame before the start": ({"frame_idx": -1, **CLICK}, "0..7"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_prompt_changes_nothing(predictor, session, mistake):
    given, message = MISTAKES[mistake]
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    for obj_id in (1, 2):
        with pytest.raises(ValueError, match=message):
            predictor.add_new_points_or_box(session, obj_id=obj_id, **{"frame_idx": 0, **given})
    assert session.obj_ids == [1]
    assert len(run(predictor, session, max_frame_num_to_track=2)) == 3


@pytest.mark.parametrize("mask", [np.zeros((7, 9)), np.zeros((2, 3, 40, 56)), np.zeros(5)])
def test_a_mask_of_another_size_is_refused(predictor, session, mask):
    with pytest.raises(ValueError, match="mask"):
        predictor.add_new_mask(session, 0, 1, mask)
    assert session.obj_ids == []


@pytest.mark.parametrize(
    ("mask", "message"),
    [(np.full(SIZE_HW, np.nan), "NaN"), (None, "numbers"), ([["a"]], "numbers")],
    ids=["NaN", "None", "text"],
)
def test_a_mask_that_holds_no_numbers_is_refused(predictor, session, mask, message):
    with pytest.raises(ValueError, match=f"mask.*{message}"):
        predictor.add_new_mask(session, 0, 1, mask)


def test_a_mirrored_mask_is_a_mask(predictor, session):
    inside = np.zeros(SIZE_HW, bool)
    inside[:20, :9] = True
    mirrored = read_mask(session, inside[:, ::-1]).mask[0, 0]
    assert torch.equal(mirrored, torch.from_numpy(inside[:, ::-1].copy()))


@pytest.mark.parametrize("index", [torch.tensor(0), np.int64(0), np.array(0)], ids=["tensor", "numpy", "0-d array"])
def test_a_frame_number_of_any_kind_is_the_same_frame(predictor, session, index):
    result = predictor.add_new_points_or_box(session, index, 1, **CLICK)
    again = predictor.add_new_points_or_box(session, 0, 2, **CLICK)
    assert list(session.objects[1].prompts) == [0] and type(result.frame_idx) is int
    assert torch.equal(again.masks[0], again.masks[1]) and torch.equal(result.masks[0], again.masks[0])
    assert predictor.clear_all_prompts_in_frame(session, index, 1).frame_idx == 0 and not session.objects[1].prompts


def test_numbers_that_are_no_integers_are_refused_by_name(predictor, session):
    with pytest.raises(TypeError, match=r"frame_idx must be an integer, got 0\.5"):
        predictor.add_new_points_or_box(session, 0.5, 1, **CLICK)
    with pytest.raises(TypeError, match="obj_id must be a number or a name"):
        predictor.add_new_points_or_box(session, 0, torch.tensor(1), **CLICK)
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    with pytest.raises(TypeError, match=r"max_frame_num_to_track must be an integer, got 1\.5"):
        next(predictor.propagate_in_video(session, max_frame_num_to_track=1.5))
