"""The second look at prompts on a frame of a video."""

import numpy as np
import pytest
import torch

from sam2nb import SAM2VideoPredictor, load_model
from sam2nb.predict.video import closer
from sam2nb.structures import WHOLE_FRAME
from tests.predict.test_closer import overlap, scene

SIZE_HW = (151, 210)
BOX = [60, 80, 84, 98]


@pytest.fixture(scope="module")
def model():
    return load_model("sam2nb_nano", device="cpu", image_size=128)


@pytest.fixture(scope="module")
def frames():
    return [scene((72 + 2 * t, 89), size_hw=SIZE_HW)[0] for t in range(3)]


@pytest.fixture
def predictor(model):
    return SAM2VideoPredictor(model, closer=True, progress=False)


def test_a_box_on_a_small_object_is_answered_closer(model, predictor, frames):
    _, truth = scene(size_hw=SIZE_HW)
    plain = SAM2VideoPredictor(model, progress=False)
    answers = []
    for tracker in (plain, predictor):
        session = tracker.init_state(frames)
        answers.append(tracker.add_new_points_or_box(session, 0, 1, box=BOX).masks[0, 0].numpy() > 0)
    assert overlap(answers[1], truth) > max(0.8, overlap(answers[0], truth))
    assert session.objects[1].closer[0].region != WHOLE_FRAME


def test_memories_are_of_the_whole_frame_and_results_stay_sharp(predictor, frames):
    session = predictor.init_state(frames)
    sharp = predictor.add_new_points_or_box(session, 0, 1, points=[[72, 89]], labels=[1]).masks
    results = {result.frame_idx: result.masks for result in predictor.propagate_in_video(session)}
    track = session.objects[1]
    assert torch.equal(results[0], sharp) and set(results) == {0, 1, 2}
    assert {memory.region for memory in (*track.bank.prompted.values(), *track.bank.tracked.values())} == {WHOLE_FRAME}
    assert overlap(results[2][0, 0].numpy() > 0, scene((76, 89), size_hw=SIZE_HW)[1]) > 0.4


def test_further_prompts_on_the_frame_cost_no_new_encoding(predictor, frames, monkeypatch):
    encoded = []
    original = closer.encode_part
    monkeypatch.setattr(closer, "encode_part", lambda *given: encoded.append(given[-1]) or original(*given))
    session = predictor.init_state(frames)
    predictor.add_new_points_or_box(session, 0, 1, box=BOX)
    predictor.add_new_points_or_box(session, 0, 1, box=BOX, points=[[72, 89]], labels=[1])
    predictor.add_new_points_or_box(session, 0, 2, box=BOX)
    assert len(encoded) == 1
    predictor.add_new_points_or_box(session, 1, 1, box=BOX)
    assert len(encoded) == 2 and session.parts[0] == 1


def test_prompts_are_answered_once_unless_asked(model, frames):
    predictor = SAM2VideoPredictor(model, progress=False)
    session = predictor.init_state(frames)
    predictor.add_new_points_or_box(session, 0, 1, box=BOX)
    assert not predictor.closer and not session.objects[1].closer and session.parts is None


def test_masks_and_large_objects_are_not_looked_at_again(predictor, frames):
    session = predictor.init_state(frames)
    predictor.add_new_mask(session, 0, 1, scene(size_hw=SIZE_HW)[1])
    predictor.add_new_points_or_box(session, 0, 2, box=[2, 2, 208, 149])
    assert not session.objects[1].closer and not session.objects[2].closer


def test_removed_prompts_take_the_second_look_with_them(predictor, frames):
    session = predictor.init_state(frames)
    predictor.add_new_points_or_box(session, 0, 1, box=BOX)
    assert (predictor.clear_all_prompts_in_frame(session, 0, 1).masks < 0).all()
    predictor.add_new_points_or_box(session, 0, 1, box=BOX)
    predictor.add_new_mask(session, 0, 1, np.ones(SIZE_HW, bool))
    assert not session.objects[1].closer


def test_a_corrected_frame_that_is_tracked_again_shows_the_new_mask(predictor, frames):
    session = predictor.init_state(frames)
    predictor.add_new_points_or_box(session, 0, 1, box=BOX)
    list(predictor.propagate_in_video(session))
    predictor.add_new_points_or_box(session, 1, 1, box=[62, 80, 86, 98])
    assert 1 in session.objects[1].closer
    list(predictor.propagate_in_video(session))
    predictor.clear_all_prompts_in_frame(session, 1, 1)
    list(predictor.propagate_in_video(session))
    assert set(session.objects[1].closer) == {0}


def test_saved_sessions_keep_the_second_look(predictor, frames, tmp_path):
    session = predictor.init_state(frames)
    sharp = predictor.add_new_points_or_box(session, 0, 1, box=BOX).masks
    path = predictor.save_session(session, tmp_path / "session")
    again = predictor.load_session(path, frames)
    assert torch.equal(predictor.tracker.result(again, 0).masks, sharp)


def test_streams_forget_second_looks(predictor, frames):
    stream = predictor.stream()
    stream.push(frames[0])
    stream.add_new_points_or_box(1, box=BOX)
    assert 0 in stream.session.objects[1].closer
    stream.push(frames[1])
    assert not stream.session.objects[1].closer
