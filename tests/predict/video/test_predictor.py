"""The official calling convention of tracking, and where videos end, break or change."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb import SAM2VideoPredictor
from sam2nb.media.video import FrameList
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.model.memory_bank import MemoryBank
from sam2nb.predict import pretrained
from sam2nb.predict.video import memory as memory_module
from sam2nb.predict.video.matching import MatchingMemory
from sam2nb.predict.video.memory import OfficialMemory
from sam2nb.predict.video.session import ObjectTrack
from tests.predict.video.clips import CLICK, COUNT, OTHER, SIZE_HW, frame, run, small_model


def test_results_are_the_official_triple(predictor, session):
    first = predictor.add_new_points_or_box(session, 0, "cat", **CLICK)
    frame_idx, obj_ids, masks = first
    assert (frame_idx, obj_ids, tuple(masks.shape)) == (0, ["cat"], (1, 1, *SIZE_HW))
    assert masks.dtype is torch.float32
    assert list(run(predictor, session)) == list(range(COUNT))


def test_options_of_the_tracker_can_be_changed_on_the_predictor_as_in_the_official_package(predictor):
    predictor.fill_hole_area, predictor.non_overlap_masks = 3, True
    assert (predictor.tracker.fill_hole_area, predictor.tracker.non_overlap_masks) == (3, True)
    assert (predictor.max_sprinkle_area, predictor.binarize_prompted) == (0, True)


def test_from_pretrained_passes_options_to_the_model_and_the_predictor(model, monkeypatch):
    asked = {}
    monkeypatch.setattr(pretrained, "load_model", lambda name, **options: asked.update(options, name=name) or model)
    predictor = SAM2VideoPredictor.from_pretrained("facebook/sam2.1-hiera-tiny", device="cpu", fill_hole_area=0)
    assert asked == {"device": "cpu", "name": "facebook/sam2.1-hiera-tiny"} and predictor.fill_hole_area == 0


def test_weights_for_images_only_track_by_matching_and_say_so_once(model, monkeypatch, caplog):
    monkeypatch.setattr(model, "missing_parts", ("memory_attention", "memory_encoder"))
    memory_module._tell_once.cache_clear()
    predictors = [SAM2VideoPredictor(model) for _ in range(2)]
    assert all(isinstance(predictor.tracker.memory, MatchingMemory) for predictor in predictors)
    assert [record.message for record in caplog.records] == [
        'these weights have no memory for video: tracking matches image features instead (memory="match")'
    ]


def test_the_official_memory_is_refused_where_its_weights_are_missing(model, monkeypatch):
    assert isinstance(SAM2VideoPredictor(model).tracker.memory, OfficialMemory)
    monkeypatch.setattr(model, "missing_parts", ("memory_attention", "memory_encoder"))
    with pytest.raises(ValueError, match="memory attention and memory encoder are missing.*sam2nb_nano"):
        SAM2VideoPredictor(model, memory="official")


def test_an_unknown_memory_is_refused_with_the_known_ones(model):
    with pytest.raises(ValueError, match="official, steady, anchored, match, or None.*got 'elephant'"):
        SAM2VideoPredictor(model, memory="elephant")


# --- objects ----------------------------------------------------------------------------------------------------------


def test_deleting_an_object_by_hand_removes_it(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    del session.objects[1]
    assert all(len(masks) == 1 for masks in run(predictor, session).values())


def test_removing_an_object_returns_the_others_on_its_prompted_frames(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 2, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    obj_ids, frames = predictor.remove_object(session, 1)
    assert obj_ids == [2] and [frame_idx for frame_idx, _ in frames] == [0, 2]
    assert all(masks.shape == (1, 1, *SIZE_HW) for _, masks in frames)


def test_removing_the_last_object_leaves_an_open_video(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    assert predictor.remove_object(session, 1) == ([], [])
    assert predictor.remove_object(session, "never there") == ([], [])
    predictor.add_new_points_or_box(session, 0, 2, **CLICK)
    assert len(run(predictor, session)) == COUNT


def test_an_unknown_object_is_named(predictor, session):
    predictor.add_new_points_or_box(session, 0, "cat", **CLICK)
    with pytest.raises(ValueError, match=r"'dog' is unknown; this session has \['cat'\]"):
        predictor.clear_all_prompts_in_frame(session, 0, "dog")
    with pytest.raises(ValueError, match="unknown"):
        predictor.remove_object(session, "dog", strict=True)


def test_a_reset_forgets_objects_and_keeps_the_video(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    first = run(predictor, session)
    predictor.reset_state(session)
    assert session.obj_ids == []
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    assert all(torch.equal(masks, first[index]) for index, masks in run(predictor, session).items())


# --- propagation ------------------------------------------------------------------------------------------------------


def test_leaving_propagation_early_loses_nothing(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    twin = predictor.init_state(session.frames)
    predictor.add_new_points_or_box(twin, 0, 1, **CLICK)
    whole = run(predictor, twin)
    for result in predictor.propagate_in_video(session):
        if result.frame_idx == 3:
            break
    rest = run(predictor, session, start_frame_idx=4)
    assert all(torch.equal(rest[index], whole[index]) for index in range(4, COUNT))


def test_a_prompt_added_while_propagating_counts_from_the_next_call_on(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    before = run(predictor, session)
    for result in predictor.propagate_in_video(session):
        if result.frame_idx == 2:
            predictor.add_new_points_or_box(session, 2, 1, points=[[5, 5]], labels=[0])
        elif result.frame_idx > 2:
            assert torch.equal(result.masks, before[result.frame_idx])
    assert not torch.equal(run(predictor, session)[3], before[3])


@pytest.mark.parametrize(
    "options", [{"offload_state_to_cpu": True, "offload_video_to_cpu": True}, {"async_loading_frames": True}]
)
def test_offloading_and_threads_change_no_mask(predictor, session, options):
    other = predictor.init_state([frame(i) for i in range(COUNT)], **options)
    for each in (session, other):
        predictor.add_new_points_or_box(each, 0, 1, **CLICK)
    mine, theirs = run(predictor, session), run(predictor, other)
    assert all(torch.equal(mine[index], theirs[index]) for index in range(COUNT))


def test_frames_are_never_kept_as_floats(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    assert all(image.dtype == np.uint8 for image in session.frames._images)


def test_propagating_without_a_prompt_is_refused(predictor, session):
    with pytest.raises(RuntimeError, match="nothing to track"):
        run(predictor, session)
    session.objects["empty"] = ObjectTrack()
    with pytest.raises(RuntimeError, match="'empty' has no prompt"):
        run(predictor, session)


@pytest.mark.parametrize(
    "kwargs", [{"start_frame_idx": COUNT}, {"start_frame_idx": -2}, {"max_frame_num_to_track": -1}]
)
def test_a_range_outside_the_clip_is_refused(predictor, session, kwargs):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    with pytest.raises(ValueError, match="start_frame_idx|max_frame_num_to_track"):
        run(predictor, session, **kwargs)
    assert session.objects[1].pending, "and changes nothing"


def test_a_frame_index_that_is_not_an_integer_is_refused(predictor, session):
    with pytest.raises(TypeError, match="integer"):
        predictor.add_new_points_or_box(session, "first", 1, **CLICK)


# --- videos that break off --------------------------------------------------------------------------------------------


class CutOff(FrameList):
    """A clip that promises more frames than it has."""

    def __getitem__(self, index):
        if index >= 5:
            raise VideoEndedEarly("clip.mp4", 5, len(self))
        return super().__getitem__(index)


def test_a_truncated_video_is_tracked_as_far_as_it_goes(predictor, caplog):
    session = predictor.init_state(CutOff([frame(i) for i in range(COUNT)]))
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    with caplog.at_level(logging.WARNING):
        assert list(run(predictor, session)) == [0, 1, 2, 3, 4]
    assert "5 of 8 frames can be decoded; tracking stops before frame 5" in caplog.text
    assert len(run(predictor, session, reverse=True, start_frame_idx=4)) == 5


def test_a_frame_of_another_size_stops_tracking_and_loses_nothing(predictor):
    images = [Image.fromarray(frame(i)) for i in range(4)]
    session = predictor.init_state([*images[:3], images[3].resize((20, 20))])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    with pytest.raises(ValueError, match="frame 3 is 20x20"):
        run(predictor, session)
    assert sorted(session.objects[1].bank.tracked) == [1, 2]
    assert isinstance(session.objects[1].bank, MemoryBank)


# --- inference mode ---------------------------------------------------------------------------------------------------


def track_four_frames(predictor, session) -> dict[int, torch.Tensor]:
    """A click, a run, a correction, another object, a second run."""
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session, max_frame_num_to_track=3)
    predictor.add_new_points_or_box(session, 2, 1, points=[[5, 5]], labels=[0])
    predictor.add_new_mask(session, 1, 2, frame(1)[..., 0] > 150)
    return run(predictor, session, max_frame_num_to_track=3)


@pytest.fixture(scope="module")
def expected(model):
    predictor = SAM2VideoPredictor(model, progress=False)
    return track_four_frames(predictor, predictor.init_state([frame(i) for i in range(4)]))


@pytest.mark.parametrize("built_inside", [True, False])
@pytest.mark.parametrize("opened_inside", [True, False])
@pytest.mark.parametrize("tracked_inside", [True, False])
def test_inference_mode_changes_no_mask(expected, built_inside, opened_inside, tracked_inside):
    with torch.inference_mode(built_inside):
        predictor = SAM2VideoPredictor(small_model(), fill_hole_area=8, progress=False)
    with torch.inference_mode(opened_inside):
        session = predictor.init_state([frame(i) for i in range(4)])
        predictor.add_new_points_or_box(session, 3, "other", **OTHER)
        predictor.remove_object(session, "other")
    with torch.inference_mode(tracked_inside):
        masks = track_four_frames(predictor, session)
    assert all(torch.equal(masks[index], expected[index]) for index in range(4))


def test_a_session_can_be_tracked_inside_and_outside_inference_mode(predictor, expected):
    session = predictor.init_state([frame(i) for i in range(4)])
    with torch.inference_mode():
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
        run(predictor, session, max_frame_num_to_track=3)
    predictor.add_new_points_or_box(session, 2, 1, points=[[5, 5]], labels=[0])
    with torch.inference_mode():
        predictor.add_new_mask(session, 1, 2, frame(1)[..., 0] > 150)
    masks = run(predictor, session, max_frame_num_to_track=3)
    assert all(torch.equal(masks[index], expected[index]) for index in range(4))
