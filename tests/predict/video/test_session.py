"""The state of a video: what can be read from it and changed by hand, without a model."""

import pytest
import torch

from sam2nb.media.video import FrameList, ModelInputs
from sam2nb.predict.video.session import FramePrompt, ObjectPrediction, ObjectTrack, VideoSession
from sam2nb.structures import FrameMemory
from tests.predict.video.clips import COUNT, SIZE_HW, frame


def memory() -> FrameMemory:
    return FrameMemory(*(torch.zeros(1) for _ in range(4)))


def pending() -> ObjectPrediction:
    return ObjectPrediction(*(torch.zeros(1) for _ in range(3)))


@pytest.fixture
def session():
    inputs = ModelInputs(FrameList([frame(i) for i in range(COUNT)]), 64, torch.device("cpu"))
    return VideoSession(inputs, num_frames=COUNT, storage=torch.device("cpu"))


def track_prompted_on(*frames: int) -> ObjectTrack:
    track = ObjectTrack()
    for index in frames:
        track.prompts[index] = FramePrompt()
        track.bank.prompted[index] = memory()
    return track


def test_frames_come_as_rgb_and_as_inputs_of_the_model(session):
    assert session.size_hw == SIZE_HW and session.frames[0].shape == (*SIZE_HW, 3)
    assert session.inputs[0].shape == (1, 3, 64, 64)


def test_the_pending_prediction_comes_before_the_memory():
    track = track_prompted_on(0)
    assert track.prediction_at(0) is track.bank.prompted[0] and track.prediction_at(1) is None
    track.pending[0] = pending()
    assert track.prediction_at(0) is track.pending[0]


def test_the_memory_of_a_cleared_frame_counts_as_tracked():
    track = track_prompted_on(0)
    track.directions[0] = False
    kept = track.bank.prompted[0]
    track.clear_prompts(0)
    assert track.bank.tracked == {0: kept} and not (track.prompts or track.bank.prompted or track.directions)


def test_a_stream_forgets_prompts_and_directions_that_cannot_be_read_again():
    track = track_prompted_on(0, 30, 60)
    track.directions = dict.fromkeys(range(61), False)
    track.bank.forget([0], [])
    track.forget_before(60)
    assert sorted(track.prompts) == [30, 60] and list(track.directions) == [60]


def test_an_unknown_object_is_named(session):
    session.objects["cat"] = ObjectTrack()
    with pytest.raises(ValueError, match=r"'dog' is unknown; this session has \['cat'\]"):
        session.track_of("dog")
    assert session.track_of("cat") is session.objects["cat"]


# --- frames to track --------------------------------------------------------------------------------------------------


def test_tracking_begins_at_the_earliest_prompt_pending_or_not(session):
    session.objects[1] = track_prompted_on(5)
    session.objects[2] = ObjectTrack(pending={3: pending()})
    assert list(session.frames_to_track(None, None, reverse=False)) == [3, 4, 5, 6, 7]
    assert list(session.frames_to_track(None, None, reverse=True)) == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("start", "count", "reverse", "frames"),
    [
        (0, None, False, list(range(COUNT))),
        (6, 0, False, [6]),
        (6, 5, False, [6, 7]),
        (6, 2, True, [6, 5, 4]),
        (1, 5, True, [1, 0]),
        (0, None, True, []),
    ],
)
def test_the_number_of_frames_counts_those_after_the_first(session, start, count, reverse, frames):
    session.objects[1] = track_prompted_on(0)
    assert list(session.frames_to_track(start, count, reverse)) == frames


def test_tracking_without_a_prompt_is_refused(session):
    with pytest.raises(RuntimeError, match="nothing to track"):
        session.frames_to_track(None, None, reverse=False)
    session.objects["empty"] = ObjectTrack()
    with pytest.raises(RuntimeError, match="'empty' has no prompt"):
        session.frames_to_track(None, None, reverse=False)


@pytest.mark.parametrize(("start", "count"), [(COUNT, None), (-2, None), (None, -1)])
def test_a_range_outside_the_clip_is_refused(session, start, count):
    session.objects[1] = track_prompted_on(0)
    with pytest.raises(ValueError, match="start_frame_idx|max_frame_num_to_track"):
        session.frames_to_track(start, count, reverse=False)


def test_a_stream_cannot_be_propagated_and_has_no_last_frame(session):
    session.num_frames = None
    session.objects[1] = track_prompted_on(0)
    with pytest.raises(ValueError, match="stream cannot be propagated"):
        session.frames_to_track(None, None, reverse=False)
    session.check_frame(1000)
    with pytest.raises(ValueError, match="frame_idx must be 0 or more"):
        session.check_frame(-1)
