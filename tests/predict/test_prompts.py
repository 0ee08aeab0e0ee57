"""Prompts in the model's coordinates. What is refused is tested with the image predictor, where users meet it."""

import logging

import numpy as np
import pytest
import torch

from sam2nb.predict.prompts import make_prompts

FRAME = {"size_hw": (100, 200), "image_size": 64, "device": torch.device("cpu")}


def test_both_sides_are_scaled_to_the_model_s_input():
    prompts = make_prompts(**FRAME, point_coords=[[200, 100], [100, 25]], point_labels=[1, 0])
    assert prompts.points.tolist() == [[[64, 64], [32, 16]]] and prompts.labels.tolist() == [[1, 0]]


def test_coordinates_in_0_to_1_do_not_depend_on_the_image_s_size():
    prompts = make_prompts(**FRAME, point_coords=[[0.5, 0.25]], point_labels=[1], normalize_coords=False)
    assert prompts.points.tolist() == [[[32, 16]]]


def test_box_corners_come_first_with_labels_of_their_own():
    prompts = make_prompts(**FRAME, point_coords=[[100, 50]], point_labels=[0], box=[0, 0, 200, 100])
    assert prompts.points.tolist() == [[[0, 0], [64, 64], [32, 32]]] and prompts.labels.tolist() == [[2, 3, 0]]


def test_one_mask_serves_all_objects():
    prompts = make_prompts(**FRAME, box=[[0, 0, 9, 9], [5, 5, 20, 20]], mask_input=np.zeros((1, 16, 16)))
    assert prompts.masks.shape == (2, 1, 16, 16)


def test_a_mask_alone_is_a_prompt():
    prompts = make_prompts(**FRAME, mask_input=np.zeros((16, 16)))
    assert prompts.points is None and prompts.masks.shape == (1, 1, 16, 16)


def test_points_outside_the_image_are_used_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        prompts = make_prompts(**FRAME, point_coords=[[300, 50], [-1, -1]], point_labels=[1, -1])
    assert prompts.points[0, 0].tolist() == [96, 32]
    assert "coordinates outside the image of 200x100 (width x height): 1, the first" in caplog.text, (
        "padding points may be anywhere"
    )


KINDS = {
    "bfloat16 tensor": lambda values: torch.tensor(values, dtype=torch.bfloat16),
    "list of tensors": lambda values: [torch.tensor(row) for row in values],
    "big-endian": lambda values: np.array(values, ">f4"),
    "backwards in memory": lambda values: np.array(values)[::-1, ::-1].copy()[::-1, ::-1],
    "tuple": lambda values: tuple(map(tuple, values)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_kind_are_the_same_prompt(kind):
    points, logits = [[100.0, 50.0], [20.0, 10.0]], np.linspace(-8, 8, 256).reshape(16, 16).round().tolist()
    prompts = make_prompts(
        **FRAME, point_coords=KINDS[kind](points), point_labels=[1, 0], mask_input=KINDS[kind](logits)
    )
    expected = make_prompts(**FRAME, point_coords=points, point_labels=[1, 0], mask_input=logits)
    assert torch.equal(prompts.points, expected.points) and torch.equal(prompts.masks, expected.masks)


ABSURD = {
    "beyond float32": ({"point_coords": [[1e39, 1]], "point_labels": [1]}, "within 1000 sides of the image of 200x100"),
    "beyond half precision": ({"box": [-1e6, -1e6, 1e6, 1e6]}, "within 1000 sides"),
    "a huge logit": ({"mask_input": np.full((1, 16, 16), 1e30)}, "mask_input must be logits between"),
    "a list of None": ({"mask_input": [None]}, "mask_input must be numbers of shape"),
    "a tensor without data": ({"mask_input": torch.zeros(1, 16, 16, device="meta")}, "mask_input must be numbers"),
    "words": ({"box": ["a", "b", "c", "d"]}, "box must be numbers of shape"),
    "rows of different lengths": ({"point_coords": [[1, 2], [3]], "point_labels": [1, 1]}, "point_coords must be"),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_numbers_are_refused_by_the_name_of_the_argument(kind):
    given, message = ABSURD[kind]
    with pytest.raises(ValueError, match=message):
        make_prompts(**FRAME, **given)
