"""Streams: frames come one by one, memory stays constant, the masks are those of a clip."""

import copy

import numpy as np
import pytest
import torch

from sam2nb.media import video
from sam2nb.predict.video.policies import HISTORY
from tests.faults import interrupted
from tests.media.clips import Camera
from tests.predict.video.clips import CLICK, OTHER, SIZE_HW, frame

LONG = 60


def test_a_stream_gives_the_masks_of_a_clip(predictor):
    frames = [frame(i) for i in range(20)]
    session = predictor.init_state(frames)
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    clip = [result.masks for result in predictor.propagate_in_video(session)]
    stream = predictor.stream(iter(frames))
    for frame_idx, obj_ids, masks in stream:
        if frame_idx == 0:
            assert obj_ids == [] and tuple(masks.shape) == (0, 1, *SIZE_HW)
            assert torch.equal(stream.add_new_points_or_box(1, **CLICK).masks, clip[0])
        else:
            assert obj_ids == [1] and torch.equal(masks, clip[frame_idx])


def test_prompts_corrections_and_new_objects_may_come_at_any_time(predictor):
    frames = [frame(i) for i in range(20)]
    session = predictor.init_state(frames)
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    list(predictor.propagate_in_video(session, max_frame_num_to_track=6))
    corrected = predictor.add_new_points_or_box(session, 6, 1, **OTHER).masks
    predictor.add_new_mask(session, 6, 2, frame(6)[..., 0] > 150)
    clip = {result.frame_idx: result.masks for result in predictor.propagate_in_video(session, start_frame_idx=6)}

    stream = predictor.stream()
    for index, rgb in enumerate(frames):
        result = stream.push(rgb)
        if index == 0:
            stream.add_new_points_or_box(1, **CLICK)
        elif index == 6:
            assert torch.equal(stream.add_new_points_or_box(1, **OTHER).masks, corrected)
            stream.add_new_mask(2, frame(6)[..., 0] > 150)
        elif index > 6:
            assert torch.equal(result.masks, clip[index])
    assert stream.obj_ids == [1, 2] and stream.remove_object(1) == [2]
    assert len(stream.push(frames[0]).masks) == 1


def test_an_endless_stream_keeps_a_constant_number_of_memories(predictor):
    stream = predictor.stream(max_prompted=3)
    sizes = []
    for index in range(LONG):
        stream.push(frame(index % 8))
        if index % 6 == 0:
            stream.add_new_points_or_box(1, **CLICK)
        track = stream.session.objects[1]
        kept = len(track.bank.prompted) + len(track.bank.tracked)
        sizes.append((kept, len(track.directions), len(track.prompts), len(track.facts)))
    assert sizes[-1][0] <= 3 + 16 and max(s[1] for s in sizes) <= 2
    assert max(s[2] for s in sizes) <= 6, "old prompts are forgotten"
    assert sizes[-1][3] <= 3 + HISTORY + 1, "old facts are forgotten"
    assert min(track.bank.tracked) >= LONG - 17


def test_forgetting_changes_no_mask(predictor, monkeypatch):
    def play():
        stream, masks = predictor.stream(max_prompted=2), []
        for index in range(30):
            masks.append(stream.push(frame(index % 8)).masks)
            if index in (0, 5, 11):
                stream.add_new_points_or_box(1, **CLICK)
        return masks

    forgetful = play()
    monkeypatch.setattr("sam2nb.predict.video.tracker.Tracker.forget_before", lambda *_: None)
    assert all(torch.equal(a, b) for a, b in zip(forgetful, play(), strict=True))


def test_only_the_current_frame_can_be_prompted(predictor):
    stream = predictor.stream()
    with pytest.raises(RuntimeError, match="no frame yet"):
        stream.add_new_points_or_box(1, **CLICK)
    stream.push(frame(0))
    stream.push(frame(1))
    with pytest.raises(ValueError, match="frame_idx must be 1, the current frame, got 0"):
        predictor.add_new_points_or_box(stream.session, 0, 1, **CLICK)
    assert stream.obj_ids == []


def test_a_frame_of_another_size_leaves_the_stream_where_it_is(predictor):
    stream = predictor.stream()
    stream.push(frame(0))
    stream.add_new_points_or_box(1, **CLICK)
    with pytest.raises(ValueError, match="frame 1 is 20x10"):
        stream.push(np.zeros((10, 20, 3), np.uint8))
    assert stream.frame_idx == 0
    assert stream.push(frame(1)).obj_ids == [1]


def test_a_stream_without_frames_must_be_pushed(predictor):
    with pytest.raises(ValueError, match="push"):
        next(iter(predictor.stream()))
    with pytest.raises(ValueError, match="max_prompted"):
        predictor.stream(max_prompted=1)


def test_a_camera_can_be_tracked(predictor, monkeypatch):
    monkeypatch.setattr(video.cv2, "VideoCapture", Camera)
    assert [result.frame_idx for result in predictor.stream(0)] == [0, 1, 2]


def test_clicks_are_added_to_earlier_ones_on_the_same_frame(predictor):
    stream = predictor.stream()
    stream.push(frame(0))
    stream.add_new_points_or_box(1, **CLICK)
    stream.add_new_points_or_box(1, **OTHER, clear_old_points=False)
    assert stream.session.objects[1].prompts[0].points.shape == (1, 2, 2)


def test_an_object_whose_prompts_were_cleared_is_named(predictor):
    stream = predictor.stream()
    stream.push(frame(0))
    stream.add_new_points_or_box("cat", **CLICK)
    predictor.clear_all_prompts_in_frame(stream.session, 0, "cat")
    with pytest.raises(RuntimeError, match="'cat' has no prompt"):
        stream.push(frame(1))
    assert stream.frame_idx == 0


def test_an_unknown_object_cannot_be_removed(predictor):
    stream = predictor.stream()
    stream.push(frame(0))
    with pytest.raises(ValueError, match="'cat' is unknown"):
        stream.remove_object("cat")


@pytest.mark.parametrize("position", [0, 100, 400, 900])
def test_a_push_that_was_interrupted_can_be_repeated(predictor, position):
    frames = [frame(i) for i in range(6)]

    def begin():
        stream = predictor.stream()
        stream.push(frames[0])
        stream.add_new_points_or_box(1, **CLICK)
        stream.add_new_points_or_box(2, **OTHER)
        return stream

    plain, broken = begin(), begin()
    for rgb in frames[1:]:
        expected = plain.push(rgb)
        before = broken.frame_idx
        with pytest.raises(KeyboardInterrupt), interrupted(position):
            broken.push(rgb)
        assert broken.frame_idx == before
        assert torch.equal(broken.push(rgb).masks, expected.masks)


def test_after_an_interrupted_push_another_frame_may_come(predictor):
    stream = predictor.stream()
    stream.push(frame(0))
    stream.add_new_points_or_box(1, **CLICK)
    clean = copy.deepcopy(stream)
    with pytest.raises(KeyboardInterrupt), interrupted(600):
        stream.push(frame(7))
    assert torch.equal(stream.push(frame(1)).masks, clean.push(frame(1)).masks)


@pytest.mark.parametrize("max_prompted", ["a", 1, float("inf")])
def test_an_unusable_limit_is_refused_by_name(predictor, max_prompted):
    with pytest.raises(ValueError, match="max_prompted must be a finite number, 2 or more"):
        predictor.stream(max_prompted=max_prompted)
