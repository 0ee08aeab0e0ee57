"""The image predictor on a small model with random weights: shapes, errors and promises that hold for all weights."""

import logging

import numpy as np
import pytest
import torch

from sam2nb import SAM2ImagePredictor, build_sam2
from sam2nb.masks.regions import clean_masks
from sam2nb.predict.image import ImagePrediction

SIDE = 128


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    model = build_sam2("sam2.1_hiera_t", device="cpu", hydra_overrides_extra=[f"++model.image_size={SIDE}"])
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8))
    return predictor


def test_one_object_gives_three_masks_at_image_size(predictor):
    result = predictor.predict([[10, 20]], [1])
    assert isinstance(result, ImagePrediction)
    masks, scores, logits = result
    assert masks.shape == (3, 60, 100) and masks.dtype == bool
    assert scores.shape == (3,) and logits.shape == (3, SIDE // 4, SIDE // 4)
    assert np.abs(logits).max() <= 32


def test_several_objects_keep_their_axis(predictor):
    boxes = [[1, 1, 50, 50], [10, 10, 90, 40]]
    assert predictor.predict(box=boxes, multimask_output=False).masks.shape == (2, 1, 60, 100)
    assert predictor.predict([[[5, 5]], [[9, 9]]], [[1], [1]]).masks.shape == (2, 3, 60, 100)
    assert predictor.predict([[[5, 5]], [[9, 9]]], [[1], [0]], box=boxes).scores.shape == (2, 3)


def test_lists_arrays_and_tensors_give_the_same_masks(predictor):
    results = [
        predictor.predict(kind([[10, 20]]), kind([1]), return_logits=True).masks
        for kind in (list, np.array, torch.tensor)
    ]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_a_batch_equals_one_object_at_a_time(predictor):
    points = np.array([[[5, 5]], [[70, 30]], [[40, 50]]])
    together = predictor.predict(points, np.ones((3, 1)), return_logits=True).masks
    for index, point in enumerate(points):
        alone = predictor.predict(point, [1], return_logits=True).masks
        np.testing.assert_allclose(together[index], alone, atol=1e-4)


def test_logits_can_be_fed_back_in_every_usual_shape(predictor):
    logits = predictor.predict([[10, 20]], [1]).logits[:1]
    shapes = [logits, logits[0], logits[None], torch.from_numpy(logits)]
    results = [predictor.predict(mask_input=shape, return_logits=True).masks for shape in shapes]
    assert all(np.array_equal(results[0], result) for result in results[1:])
    assert predictor.predict([[1, 1]], [1], mask_input=logits).masks.shape == (3, 60, 100)


def test_images_of_any_kind_and_size_can_be_set(predictor):
    grey = np.random.default_rng(1).integers(0, 255, (31, 7), np.uint8)
    try:
        for image in (grey, grey / 255, grey.astype(np.uint16) * 257, torch.rand(3, 20, 30), np.zeros((1, 1), bool)):
            predictor.set_image(image)
            height, width = predictor.original_sizes[0]
            assert predictor.predict([[0, 0]], [1]).masks.shape == (3, height, width)
    finally:
        predictor.set_image(np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8))


def test_a_batch_of_images_gives_lists():
    torch.manual_seed(0)
    predictor = SAM2ImagePredictor(
        build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=[f"++model.image_size={SIDE}"])
    )
    images = [np.zeros((20, 30, 3), np.uint8), np.full((50, 10), 99, np.uint8)]
    predictor.set_image_batch(images)
    masks, scores, logits = predictor.predict_batch([[[3, 3]], [[4, 4]]], [[1], [1]], box_batch=[None, [1, 1, 9, 40]])
    assert [m.shape for m in masks] == [(3, 20, 30), (3, 50, 10)]
    assert len(scores) == len(logits) == 2
    assert predictor.get_image_embedding().shape == (2, 256, SIDE // 16, SIDE // 16)
    with pytest.raises(ValueError, match="point_coords_batch"):
        predictor.predict_batch([[[3, 3]]], [[1]])


def test_holes_and_islands_are_counted_in_image_pixels(predictor):
    cleaner = SAM2ImagePredictor(predictor.model, max_hole_area=30, max_sprinkle_area=20)
    cleaner.images = predictor.images
    rough = torch.from_numpy(predictor.predict([[10, 20]], [1], return_logits=True).masks)
    cleaned = cleaner.predict([[10, 20]], [1], return_logits=True).masks
    assert np.array_equal(cleaned, clean_masks(rough, 30, 20, margin=10.0).numpy())
    assert not np.array_equal(cleaned, rough.numpy())


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"point_coords": [[1, 1]]}, "point_labels is missing"),
        ({"point_labels": [1]}, "point_coords is missing"),
        ({"point_coords": [[1, 1], [2, 2]], "point_labels": [1]}, r"point_labels must have shape \(2,\)"),
        ({"point_coords": [[1, 1]], "point_labels": [2]}, "point_labels must be"),
        ({"point_coords": [[1, 1]], "point_labels": [0.5]}, "point_labels must be"),
        ({"point_coords": [[1, np.nan]], "point_labels": [1]}, "point_coords holds NaN"),
        ({"point_coords": [1, 1], "point_labels": [1]}, "point_coords must have shape"),
        ({"point_coords": [], "point_labels": []}, "point_coords must have shape"),
        ({"point_coords": "here", "point_labels": [1]}, "point_coords must be numbers"),
        ({"box": [10, 10, 5, 20]}, "x1 < x2"),
        ({"box": [10, 10, 20, 10]}, "y1 < y2"),
        ({"box": [10, 10, 20]}, "box must have shape"),
        ({"box": [10, np.inf, 20, 30]}, "box holds NaN"),
        ({"box": [[1, 1, 9, 9]] * 2, "point_coords": [[1, 1]], "point_labels": [1]}, "as many boxes"),
        ({"mask_input": np.zeros((3, 32, 32))}, None),
        ({"mask_input": np.zeros((1, 31, 32))}, "mask_input must be"),
        ({"mask_input": np.full((1, 32, 32), np.nan)}, "mask_input holds NaN"),
        ({"mask_input": np.zeros((2, 1, 32, 32)), "box": [1, 1, 9, 9]}, "mask_input is for 2"),
    ],
)
def test_prompts_that_make_no_sense_are_refused_by_name_and_change_no_later_result(predictor, prompt, words):
    before = predictor.predict([[10, 20]], [1]).logits
    if words is None:
        assert predictor.predict(**prompt).masks.shape == (3, 3, 60, 100)  # three masks are three objects
    else:
        with pytest.raises(ValueError, match=words):
            predictor.predict(**prompt)
    assert np.array_equal(predictor.predict([[10, 20]], [1]).logits, before)


def test_a_click_outside_the_image_is_used_as_given_with_a_warning(predictor, caplog):
    with caplog.at_level(logging.WARNING):
        inside = predictor.predict([[99, 59]], [1], return_logits=True).masks
        assert not caplog.records
        outside = predictor.predict([[130, 59]], [1], return_logits=True).masks
    assert "outside the image of 100x60" in caplog.text
    assert not np.array_equal(inside, outside)  # the click was not clipped


def test_a_bad_image_leaves_the_one_before_set(predictor):
    before = predictor.predict([[10, 20]], [1]).logits
    for image in (np.zeros((0, 3, 3)), np.zeros((6, 6, 5)), np.full((4, 4), np.nan), "missing.png"):
        with pytest.raises((ValueError, FileNotFoundError)):
            predictor.set_image(image)
    assert np.array_equal(predictor.predict([[10, 20]], [1]).logits, before)


def test_predicting_before_an_image_is_set_is_an_error(predictor):
    fresh = SAM2ImagePredictor(predictor.model)
    for method in (fresh.predict, fresh.predict_batch, fresh.get_image_embedding):
        with pytest.raises(RuntimeError, match="set_image"):
            method()
    fresh.set_image(np.zeros((9, 9), np.uint8))
    fresh.reset_predictor()
    with pytest.raises(RuntimeError, match="set_image"):
        fresh.predict([[1, 1]], [1])
    with pytest.raises(ValueError, match="image_list"):
        fresh.set_image_batch([])


def test_half_precision_is_scoped_to_the_call(predictor):
    full = predictor.predict([[10, 20]], [1]).scores
    predictor.model.compute_dtype = torch.bfloat16
    try:
        half = predictor.predict([[10, 20]], [1])
        assert not torch.is_autocast_enabled("cpu")
        assert half.logits.dtype == np.float32 and np.abs(half.scores - full).max() < 0.1
    finally:
        predictor.model.compute_dtype = torch.float32


@pytest.mark.parametrize(
    "option", [{"max_hole_area": float("inf")}, {"max_sprinkle_area": "a"}, {"mask_threshold": None}]
)
def test_an_option_that_is_no_number_is_refused_by_name(random_model, option):
    with pytest.raises(ValueError, match=f"{next(iter(option))} must be a finite number"):
        SAM2ImagePredictor(random_model, **option)
