"""`Sam2VideoProcessor` and `Sam2VideoInferenceSession`: prompts as transformers reads them, and clear refusals."""

import numpy as np
import pytest
import torch

from sam2nb.huggingface import Sam2VideoInferenceSession, Sam2VideoProcessor
from tests.predict.video.clips import SIZE_HW, frame

SIDE = 64
CLICK = {"input_points": [[[[28, 20]]]], "input_labels": [[[1]]]}


@pytest.fixture
def processor():
    return Sam2VideoProcessor(SIDE)


@pytest.fixture
def session(processor):
    return processor.init_video_session([frame(index) for index in range(3)])


def test_points_and_boxes_become_prompts_without_padding(processor, session):
    processor.add_inputs_to_inference_session(
        session, 1, [5, 6], input_points=[[[[28, 20], [14, 10]], [[56, 40]]]], input_boxes=[[[0, 0, 28, 20]] * 2]
    )
    first, second = session.new_prompts[1, 5], session.new_prompts[1, 6]
    assert first.points.tolist() == [[[0, 0], [32, 32], [32, 32], [16, 16]]] and first.labels.tolist() == [[2, 3, 1, 1]]
    assert second.points.tolist() == [[[0, 0], [32, 32], [64, 64]]] and second.labels.tolist() == [[2, 3, 1]]
    assert session.obj_ids == [5, 6] and session.get_obj_num() == 2
    assert session.obj_id_to_idx(6) == 1 and session.obj_idx_to_id(0) == 5


@pytest.mark.parametrize("as_given", [np.asarray, torch.as_tensor, lambda mask: [mask], lambda mask: mask[None, None]])
def test_masks_of_any_size_come_to_the_size_of_the_input(processor, session, as_given):
    mask = np.zeros(SIZE_HW, bool)
    mask[:20, :28] = True
    processor.add_inputs_to_inference_session(session, 0, 1, input_masks=as_given(mask))
    prompt = session.new_prompts[0, 1].mask
    assert prompt.shape == (1, 1, SIDE, SIDE) and prompt[0, 0, :31, :31].all() and not prompt[0, 0, 33:, 33:].any()


def test_frames_of_a_clip_are_decoded_when_they_are_read_and_of_a_stream_kept(processor, session):
    pixels = processor(images=[frame(0), frame(1)]).pixel_values
    assert torch.equal(session.get_frame(1), pixels[1]) and session.frames.processed == {}
    stream = processor.init_video_session()
    assert [stream.add_new_frame(pixels[0]), stream.add_new_frame(pixels[1:])] == [0, 1]
    assert torch.equal(stream.get_frame(1), pixels[1]) and stream.num_frames == 2
    ready = Sam2VideoInferenceSession(pixels, video_height=40, video_width=56)
    assert ready.num_frames == 2 and ready.video_width == 56 and ready.frames.image_size == SIDE


def test_prompts_of_frames_processed_beforehand_are_scaled_by_their_original_size(processor):
    session = Sam2VideoInferenceSession(torch.zeros(1, 3, SIDE, SIDE), video_height=40, video_width=56)
    processor.add_inputs_to_inference_session(session, 0, 1, **CLICK)
    assert session.new_prompts[0, 1].points.tolist() == [[[32, 32]]]


@pytest.mark.parametrize(
    ("obj_ids", "inputs", "message"),
    [
        (1, {}, "say where the object is: input_points with input_labels, input_boxes, or input_masks"),
        (1, {"input_masks": np.ones((4, 4)), **CLICK}, "input_masks must be given alone"),
        ([1, 2], CLICK, "obj_ids names 2 objects, the prompts are for 1"),
        (1, {"input_masks": [np.ones((2, 4, 4))]}, r"one mask \(H, W\) for each object, got \(2, 4, 4\)"),
        (1, {"input_boxes": [[[0, 0, 9, 9]]], "clear_old_inputs": False}, "input_boxes must come before points"),
        ([1, 2], {"input_points": [[[[1, 1]], [[-10, -10]]]]}, "input_points has no point for object 1"),
        (1, {"input_points": [[[28, 20]]]}, "input_points must be nested as"),
    ],
)
def test_wrong_prompts_are_named_and_nothing_is_added(processor, session, obj_ids, inputs, message):
    with pytest.raises(ValueError, match=message):
        processor.add_inputs_to_inference_session(session, 0, obj_ids, **inputs)
    assert session.obj_ids == [] and session.new_prompts == {}


def test_a_frame_outside_the_clip_and_a_stream_without_a_size_are_refused(processor, session):
    with pytest.raises(ValueError, match="frame_idx must be one of the 3 frames of this session, got 3"):
        processor.add_inputs_to_inference_session(session, 3, 1, **CLICK)
    with pytest.raises(ValueError, match="original_size is needed for the first prompt of a stream"):
        processor.add_inputs_to_inference_session(processor.init_video_session(), 0, 1, **CLICK)
    with pytest.raises(ValueError, match="frame_idx must be one of the 0 frames of this session, got 0"):
        processor.init_video_session().get_frame(0)
    with pytest.raises(ValueError, match="return_tensors must be 'pt', got 'np'"):
        processor(images=frame(0), return_tensors="np")
