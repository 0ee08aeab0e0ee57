"""The tracking engine: lasting corrections, batches, memories, cleaned masks."""

import pytest
import torch

import sam2nb.predict.video.tracker as module
from sam2nb import SAM2VideoPredictor
from sam2nb.masks.regions import fill_small_holes, separate
from sam2nb.predict.video.prompts import read_points
from sam2nb.structures import NO_OBJECT_LOGIT
from tests.predict.video.clips import CLICK, COUNT, OTHER, SIZE_HW, frame, run


def click(session, points=((20, 20),), labels=(1,)):
    return read_points(session, points, labels, None, True)


# --- the verbs --------------------------------------------------------------------------------------------------------


def test_a_prompt_is_pending_until_it_is_settled(predictor, session):
    tracker = predictor.tracker
    tracker.prompt(session, 0, "cat", click(session))
    track = session.objects["cat"]
    assert list(track.pending) == [0] and not track.bank.prompted
    pending = track.pending[0]
    tracker.settle(session)
    assert not track.pending and track.bank.prompted[0].mask_logits is pending.mask_logits


def test_tracking_writes_a_memory_and_leaves_prompted_frames_alone(predictor, session):
    tracker = predictor.tracker
    tracker.prompt(session, 0, 1, click(session))
    tracker.settle(session)
    for index in range(2):
        tracker.track(session, index)
    track = session.objects[1]
    assert list(track.bank.prompted) == [0] and list(track.bank.tracked) == [1]
    assert track.directions == {0: False, 1: False}


def test_a_result_changes_nothing_and_shows_absent_objects(predictor, session):
    tracker = predictor.tracker
    assert tracker.result(session, 3).masks.shape == (0, 1, *SIZE_HW)
    tracker.prompt(session, 0, 1, click(session))
    assert torch.allclose(tracker.result(session, 3).masks, torch.tensor(NO_OBJECT_LOGIT))
    assert session.encoded[0] == 0 and not session.objects[1].bank.tracked


def test_a_frame_on_which_every_object_has_a_prompt_is_not_encoded(predictor, session):
    tracker = predictor.tracker
    tracker.prompt(session, 0, 1, click(session))
    tracker.settle(session)
    session.encoded = None
    tracker.track(session, 0)
    assert session.encoded is None


def test_a_failed_prompt_leaves_no_object(predictor, session, monkeypatch):
    monkeypatch.setattr(predictor.model, "predict_masks", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predictor.tracker.prompt(session, 0, 1, click(session))
    assert session.obj_ids == []


# --- corrections ------------------------------------------------------------------------------------------------------


def test_a_correction_on_a_tracked_frame_lasts(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    before = run(predictor, session)
    corrected = predictor.add_new_points_or_box(session, 4, 1, points=[[5, 5]], labels=[0]).masks
    after = run(predictor, session)
    assert torch.equal(after[4], corrected) and not torch.equal(after[4], before[4])
    assert 4 in session.objects[1].bank.prompted
    assert not torch.equal(after[6], before[6]), "later frames attend to the correction"
    assert torch.equal(run(predictor, session)[4], corrected), "it lasts in the next run"


def test_an_object_whose_only_prompt_is_in_the_future_is_tracked(predictor, session):
    predictor.add_new_points_or_box(session, 5, 1, **CLICK)  # the official package: BFloat16 and Float
    masks = run(predictor, session, start_frame_idx=0)
    assert len(masks) == COUNT and all(torch.isfinite(each).all() for each in masks.values())


def test_the_only_frame_of_a_clip_can_be_corrected(predictor):
    session = predictor.init_state([frame(0)])
    first = predictor.add_new_points_or_box(session, 0, 1, **CLICK).masks
    assert torch.equal(run(predictor, session)[0], first)
    # the official package: NaN, a distance over a span of 0
    corrected = predictor.add_new_points_or_box(session, 0, 1, **OTHER).masks
    assert torch.isfinite(corrected).all() and not torch.equal(corrected, first)
    assert torch.equal(run(predictor, session)[0], corrected)


def test_a_correction_after_all_prompts_were_cleared_does_not_attend_to_memories(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    predictor.clear_all_prompts_in_frame(session, 0, 1)
    predictor.add_new_points_or_box(session, 3, 1, **CLICK)  # the official package: assertion error
    assert set(run(predictor, session)) == set(range(3, COUNT))


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_frame_is_encoded_once_for_all_objects(predictor, session, monkeypatch):
    encoded = []
    real = predictor.model.encode_image
    monkeypatch.setattr(predictor.model, "encode_image", lambda pixels: encoded.append(1) or real(pixels))
    for obj_id in range(4):
        predictor.add_new_points_or_box(session, 0, obj_id, **CLICK)
    run(predictor, session)
    assert len(encoded) == COUNT


def test_objects_that_attend_to_the_same_frames_run_as_one_batch(predictor, session, monkeypatch):
    batches = []
    real = predictor.model.memory_attention.forward
    monkeypatch.setattr(
        predictor.model.memory_attention, "forward", lambda *args: batches.append(len(args[2])) or real(*args)
    )
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    predictor.add_new_points_or_box(session, 2, 3, **OTHER)
    run(predictor, session, max_frame_num_to_track=4)
    # object 3 has its prompt on frame 2: tracked alone before (also on frame 0), not at all on 2, and alone after
    assert batches == [1, 2, 1, 2, 2, 1, 2, 1]


def test_a_batch_gives_the_masks_of_each_object_alone(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    together = run(predictor, session)
    for row, (obj_id, prompt) in enumerate([(1, CLICK), (2, OTHER)]):
        predictor.reset_state(session)
        predictor.add_new_points_or_box(session, 0, obj_id, **prompt)
        alone = run(predictor, session)
        for index in range(COUNT):
            assert torch.allclose(alone[index][0], together[index][row], atol=2e-3)


def test_many_objects_run_in_bounded_batches(predictor, session, monkeypatch):
    monkeypatch.setattr(module, "OBJECTS_AT_ONCE", 2)
    for obj_id in range(3):
        predictor.add_new_points_or_box(session, 0, obj_id, **CLICK)
    masks = run(predictor, session, max_frame_num_to_track=1)[1]
    assert torch.allclose(masks[0], masks[2], atol=2e-3)


# --- memories ---------------------------------------------------------------------------------------------------------


def test_each_object_owns_its_memories(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **CLICK)
    run(predictor, session, max_frame_num_to_track=1)
    memory = session.objects[1].bank.tracked[1]
    assert memory.features.untyped_storage().nbytes() == memory.features.nbytes
    assert memory.features.dtype is torch.bfloat16 and memory.pointer.dtype is torch.float32


def test_only_the_features_of_the_last_frame_are_kept(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    assert session.encoded[0] == COUNT - 1


def test_half_precision_gives_float_masks(model):
    predictor = SAM2VideoPredictor(model, progress=False)
    session = predictor.init_state([frame(i) for i in range(3)])
    try:
        model.compute_dtype = torch.bfloat16
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
        masks = run(predictor, session)
        predictor.add_new_mask(session, 1, 2, frame(1)[..., 0] > 150)
        masks = run(predictor, session)
    finally:
        model.compute_dtype = torch.float32
    assert masks[2].dtype is torch.float32 and torch.isfinite(masks[2]).all()


# --- cleaned masks ----------------------------------------------------------------------------------------------------


def test_tracked_masks_have_no_small_holes(model):
    predictor = SAM2VideoPredictor(model, fill_hole_area=6, progress=False)
    session = predictor.init_state([frame(i) for i in range(4)])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    bank = session.objects[1].bank
    for index in range(4):
        assert not fill_small_holes((bank[index].mask_logits[0, 0] > 0).numpy(), 7)[1]


def test_where_objects_may_not_overlap_the_higher_logit_wins(model):
    results = []
    for non_overlap_masks in (False, True):
        predictor = SAM2VideoPredictor(model, non_overlap_masks=non_overlap_masks, progress=False)
        session = predictor.init_state([frame(0)])
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
        results.append(predictor.add_new_points_or_box(session, 0, 2, points=[[21, 20]], labels=[1]).masks)
    overlapping, apart = results
    assert (overlapping > 0).sum(dim=0).max() == 2, "the masks do overlap"
    assert torch.equal(apart, separate(overlapping)) and (apart > 0).sum(dim=0).max() == 1
