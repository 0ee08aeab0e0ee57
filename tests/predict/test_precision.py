import logging

import numpy as np
import pytest
import torch
from torch import nn

from sam2nb import SAM2ImagePredictor, SAM2VideoPredictor, load_model
from sam2nb.predict import precision
from sam2nb.predict.precision import computing
from tests.predict.video.clips import CLICK, frame, run

HALF = {"device_type": "cpu", "dtype": torch.bfloat16}


def small_model():
    return load_model("sam2nb_nano", device="cpu", image_size=64)


@pytest.fixture(scope="module")
def small():
    return small_model()


class Model(nn.Linear):
    """The two attributes that decide."""

    device = torch.device("cpu")
    compute_dtype = torch.float32


def test_half_precision_is_used_inside_the_context_only():
    model, x = Model(2, 2), torch.ones(1, 2)
    with computing(model):
        assert model(x).dtype is torch.float32
    model.compute_dtype = torch.bfloat16
    with computing(model):
        assert model(x).dtype is torch.bfloat16
    assert model(x).dtype is torch.float32


@pytest.mark.parametrize(("memory", "closer"), [("official", True), ("official", False), ("match", False)])
def test_prompts_inside_autocast_and_propagation_outside_agree(small, memory, closer):
    predictor = SAM2VideoPredictor(small, memory=memory, closer=closer, progress=False)
    session = predictor.init_state([frame(i) for i in range(3)])
    with torch.autocast(**HALF):
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    masks = run(predictor, session, max_frame_num_to_track=0)
    with torch.autocast(**HALF):
        masks |= run(predictor, session, start_frame_idx=1, max_frame_num_to_track=0)
    masks |= run(predictor, session, start_frame_idx=2)
    predictor.add_new_points_or_box(session, 2, 1, **CLICK)
    assert len(masks) == 3 and all(mask.isfinite().all() for mask in masks.values())


def test_a_stream_survives_a_change_of_precision(small):
    stream = SAM2VideoPredictor(small).stream()
    with torch.autocast(**HALF):
        stream.push(frame(0))
        stream.add_new_points_or_box(1, **CLICK)
    assert stream.push(frame(1)).masks.isfinite().all()


def test_an_image_set_inside_autocast_answers_outside(small):
    predictor = SAM2ImagePredictor(small, closer=True)
    with torch.autocast(**HALF):
        predictor.set_image(frame(0))
        predictor.predict([[20, 20]], [1])
    outside, _, _ = predictor.predict([[20, 20]], [1], return_logits=True)
    predictor.set_image(frame(0))
    plain, _, _ = predictor.predict([[20, 20]], [1], return_logits=True)
    assert np.abs(outside - plain).max() < 0.2 * np.abs(plain).max()


def test_the_compute_dtype_may_change_between_encoding_and_prediction():
    model = small_model()
    image, video = SAM2ImagePredictor(model), SAM2VideoPredictor(model, progress=False)
    session = video.init_state([frame(0), frame(1)])
    for dtype, other in ((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)):
        model.compute_dtype = dtype
        image.set_image(frame(0))
        video.add_new_points_or_box(session, 0, 1, **CLICK)
        model.compute_dtype = other
        assert np.isfinite(image.predict([[20, 20]], [1]).scores).all()
        assert len(run(video, session)) == 2


@pytest.mark.parametrize("to", ["half", "double", "bfloat16"])
def test_weights_of_another_precision_are_refused_in_words(to):
    model = getattr(small_model(), to)()
    with pytest.raises(ValueError, match="the model's weights are .*call model.float"):
        SAM2ImagePredictor(model).set_image(frame(0))
    video = SAM2VideoPredictor(model)
    with pytest.raises(ValueError, match="the model's weights are .*call model.float"):
        video.add_new_points_or_box(video.init_state([frame(0)]), 0, 1, **CLICK)


def test_a_model_in_training_mode_is_noted(small, caplog):
    precision._tell_once.cache_clear()
    small.train()
    try:
        with caplog.at_level(logging.WARNING):
            SAM2ImagePredictor(small).set_image(frame(0))
    finally:
        small.eval()
    assert "call model.eval()" in caplog.text


def test_defaults_of_torch_that_cannot_work_are_refused_in_words(small):
    predictor = SAM2ImagePredictor(small)
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ValueError, match="the default dtype is torch.float64, predictors need"):
            predictor.set_image(frame(0))
    finally:
        torch.set_default_dtype(torch.float32)
    torch.set_default_device("meta")
    try:
        with pytest.raises(ValueError, match="the default device is meta, predictors need"):
            predictor.set_image(frame(0))
    finally:
        torch.set_default_device(None)
    predictor.set_image(frame(0))
