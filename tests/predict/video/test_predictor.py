"""Behaviour of tracking that is ours, or that official gets wrong: lasting corrections, batches, memory, bad input."""

import logging

import numpy as np
import pytest
import torch

import sam2nb.predict.video.predictor as module
from sam2nb import SAM2VideoPredictor, build_sam2_video_predictor
from sam2nb.media.video import FrameList
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.model.memory_bank import MemoryBank
from sam2nb.predict import pretrained
from sam2nb.predict.video.session import ObjectTrack
from tests.predict.video.clips import CLICK, COUNT, OTHER, SIZE_HW, frame, run


def test_results_are_the_official_triple(predictor, session):
    first = predictor.add_new_points_or_box(session, 0, "cat", **CLICK)
    frame_idx, obj_ids, masks = first
    assert (frame_idx, obj_ids, tuple(masks.shape)) == (0, ["cat"], (1, 1, *SIZE_HW))
    assert masks.dtype is torch.float32
    assert list(run(predictor, session)) == list(range(COUNT))


def test_a_correction_on_a_tracked_frame_lasts(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    before = run(predictor, session)
    said = predictor.add_new_points_or_box(session, 4, 1, points=[[5, 5]], labels=[0]).masks
    after = run(predictor, session)
    assert torch.equal(after[4], said) and not torch.equal(after[4], before[4])
    assert 4 in session.objects[1].bank.prompted
    assert not torch.equal(after[6], before[6]), "later frames see the correction"
    assert torch.equal(run(predictor, session)[4], said), "and so it stays"


def test_a_frame_is_encoded_once_for_all_objects(predictor, session, monkeypatch):
    encoded = []
    real = predictor.model.encode_image
    monkeypatch.setattr(predictor.model, "encode_image", lambda pixels: encoded.append(1) or real(pixels))
    for obj_id in range(4):
        predictor.add_new_points_or_box(session, 0, obj_id, **CLICK)
    run(predictor, session)
    assert len(encoded) == COUNT


def test_objects_of_one_layout_run_as_one_batch(predictor, session, monkeypatch):
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


def test_a_batch_gives_what_each_object_gives_alone(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    together = run(predictor, session)
    for row, (obj_id, said) in enumerate([(1, CLICK), (2, OTHER)]):
        predictor.reset_state(session)
        predictor.add_new_points_or_box(session, 0, obj_id, **said)
        alone = run(predictor, session)
        for index in range(COUNT):
            assert torch.allclose(alone[index][0], together[index][row], atol=2e-3)


def test_many_objects_run_in_bounded_batches(predictor, session, monkeypatch):
    monkeypatch.setattr(module, "OBJECTS_AT_ONCE", 2)
    for obj_id in range(3):
        predictor.add_new_points_or_box(session, 0, obj_id, **CLICK)
    masks = run(predictor, session, max_frame_num_to_track=1)[1]
    assert torch.allclose(masks[0], masks[2], atol=2e-3)


def test_each_object_owns_its_memories(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **CLICK)
    run(predictor, session, max_frame_num_to_track=1)
    memory = session.objects[1].bank.tracked[1]
    assert memory.features.untyped_storage().nbytes() == memory.features.nbytes
    assert memory.features.dtype is torch.bfloat16 and memory.pointer.dtype is torch.float32


def test_an_object_whose_only_prompt_lies_in_the_future_is_tracked(predictor, session):
    predictor.add_new_points_or_box(session, 5, 1, **CLICK)  # official: BFloat16 and Float
    assert len(run(predictor, session, start_frame_idx=0)) == COUNT


def test_a_clip_of_one_frame_works(predictor):
    session = predictor.init_state([frame(0)])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    corrected = predictor.add_new_points_or_box(session, 0, 1, **OTHER)  # official: NaN, a distance over a span of 0
    assert torch.isfinite(corrected.masks).all()


def test_a_correction_after_everything_was_cleared_stands_alone(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    predictor.clear_all_prompts_in_frame(session, 0, 1)
    predictor.add_new_points_or_box(session, 3, 1, **CLICK)  # official: assertion error
    assert set(run(predictor, session)) == set(range(3, COUNT))


def test_deleting_an_object_by_hand_removes_it(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    del session.objects[1]
    assert all(len(masks) == 1 for masks in run(predictor, session).values())


def test_removing_the_last_object_leaves_an_open_video(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    assert predictor.remove_object(session, 1) == ([], [])
    assert predictor.remove_object(session, "never there") == ([], [])
    predictor.add_new_points_or_box(session, 0, 2, **CLICK)
    assert len(run(predictor, session)) == COUNT


def test_reset_forgets_objects_and_keeps_the_video(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    first = run(predictor, session)
    predictor.reset_state(session)
    assert session.obj_ids == []
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    assert all(torch.equal(masks, first[index]) for index, masks in run(predictor, session).items())


def test_leaving_propagation_early_loses_nothing(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    whole = run(predictor, predictor_twin(predictor, session))
    for result in predictor.propagate_in_video(session):
        if result.frame_idx == 3:
            break
    rest = run(predictor, session, start_frame_idx=4)
    assert all(torch.equal(rest[index], whole[index]) for index in range(4, COUNT))


def predictor_twin(predictor, session):
    """Another session on the same frames with the same first click."""
    twin = predictor.init_state(session.frames)
    predictor.add_new_points_or_box(twin, 0, 1, **CLICK)
    return twin


@pytest.mark.parametrize(
    "options", [{"offload_state_to_cpu": True, "offload_video_to_cpu": True}, {"async_loading_frames": True}]
)
def test_offloading_and_threads_change_no_mask(predictor, session, options):
    other = predictor.init_state([frame(i) for i in range(COUNT)], **options)
    for each in (session, other):
        predictor.add_new_points_or_box(each, 0, 1, **CLICK)
    mine, theirs = run(predictor, session), run(predictor, other)
    assert all(torch.equal(mine[index], theirs[index]) for index in range(COUNT))


def test_frames_are_never_held_as_floats(predictor, session):
    assert all(picture.dtype == np.uint8 for picture in session.frames._images)
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    assert session.encoded[0] == COUNT - 1, "one encoded frame is kept, not all"


def test_half_precision_tracks_too(model):
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


# --- masks are cleaned on every device --------------------------------------------------------------------------------


def test_tracked_masks_have_no_small_holes(model):
    from sam2nb.masks.regions import fill_small_holes

    predictor = SAM2VideoPredictor(model, fill_hole_area=6, progress=False)
    session = predictor.init_state([frame(i) for i in range(4)])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    bank = session.objects[1].bank
    for index in range(4):
        assert not fill_small_holes((bank[index].mask_logits[0, 0] > 0).numpy(), 7)[1]


def test_where_objects_may_not_overlap_the_higher_logit_wins(model):
    predictor = SAM2VideoPredictor(model, non_overlap_masks=True, progress=False)
    session = predictor.init_state([frame(0)])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    masks = predictor.add_new_points_or_box(session, 0, 2, points=[[21, 20]], labels=[1]).masks
    assert (masks > 0).sum(dim=0).max() <= 1


# --- builders ---------------------------------------------------------------------------------------------------------


def test_the_builder_takes_official_options_of_the_predictor():
    predictor = build_sam2_video_predictor(
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        device="cpu",
        hydra_overrides_extra=[
            "++model.image_size=64",
            "++model.fill_hole_area=3",
            "++model.non_overlap_masks=true",
            "++model.add_all_frames_to_correct_as_cond=true",
        ],
    )
    assert (predictor.fill_hole_area, predictor.non_overlap_masks, predictor.binarize_prompted) == (3, True, True)
    assert predictor.image_size == 64 and predictor.device.type == "cpu"
    plain = build_sam2_video_predictor(
        "sam2_hiera_t", device="cpu", apply_postprocessing=False, hydra_overrides_extra=["++model.image_size=64"]
    )
    assert (plain.fill_hole_area, plain.binarize_prompted, plain.model.stable_single_mask) == (0, False, False)


def test_vos_optimized_compiles_the_model(monkeypatch):
    compiled = []
    monkeypatch.setattr(module, "compile_boxes", compiled.append)
    predictor = build_sam2_video_predictor("sam2.1_hiera_t", device="cpu", vos_optimized=True)
    assert compiled == [predictor.model]


def test_from_pretrained_hands_options_to_the_right_place(model, monkeypatch):
    asked = {}
    monkeypatch.setattr(pretrained, "load_model", lambda name, **options: asked.update(options, name=name) or model)
    predictor = SAM2VideoPredictor.from_pretrained("facebook/sam2.1-hiera-tiny", device="cpu", fill_hole_area=0)
    assert asked == {"device": "cpu", "name": "facebook/sam2.1-hiera-tiny"} and predictor.fill_hole_area == 0


def test_image_only_weights_say_what_is_missing(model, monkeypatch):
    monkeypatch.setattr(model, "missing_parts", ("memory_attention", "memory_encoder"))
    with pytest.raises(ValueError, match="no weights for memory attention and memory encoder;.*sam2nb_nano"):
        SAM2VideoPredictor(model)


# --- bad input: a clear error, and the session loses nothing ----------------------------------------------------------


MISTAKES = {
    "no prompt at all": ({}, "say where the object is"),
    "points without labels": ({"points": [[1, 1]]}, "labels"),
    "a label of another kind": ({"points": [[1, 1]], "labels": [7]}, "labels"),
    "a box inside out": ({"box": [30, 30, 10, 10]}, "x1 < x2"),
    "a box after points": ({"box": [3, 3, 10, 10], "clear_old_points": False}, "before points"),
    "points of two objects": ({"points": [[[1, 1]], [[2, 2]]], "labels": [[1], [1]]}, "one object"),
    "not a number": ({"points": [[np.nan, 1]], "labels": [1]}, "NaN"),
    "a frame beyond the end": ({"frame_idx": COUNT, **CLICK}, "0..7"),
    "a frame before the start": ({"frame_idx": -1, **CLICK}, "0..7"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_prompt_that_makes_no_sense_changes_nothing(predictor, session, mistake):
    said, message = MISTAKES[mistake]
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    for obj_id in (1, 2):
        with pytest.raises(ValueError, match=message):
            predictor.add_new_points_or_box(session, obj_id=obj_id, **{"frame_idx": 0, **said})
    assert session.obj_ids == [1]
    assert len(run(predictor, session, max_frame_num_to_track=2)) == 3


def test_a_frame_that_is_no_number_is_refused(predictor, session):
    with pytest.raises(TypeError, match="integer"):
        predictor.add_new_points_or_box(session, "first", 1, **CLICK)


@pytest.mark.parametrize("mask", [np.zeros((7, 9)), np.zeros((2, 3, 40, 56)), np.zeros(5)])
def test_a_mask_of_another_size_is_refused(predictor, session, mask):
    with pytest.raises(ValueError, match="mask"):
        predictor.add_new_mask(session, 0, 1, mask)
    assert session.obj_ids == []


def test_a_mask_may_come_in_any_kind_of_number(predictor, session):
    inside = frame(0)[..., 0] > 150
    answers = [
        predictor.add_new_mask(session, 0, index, mask).masks[-1]
        for index, mask in enumerate([inside, inside.astype(np.uint8) * 255, torch.from_numpy(inside)[None]])
    ]
    assert all(torch.equal(answer, answers[0]) for answer in answers)
    agreement = ((answers[0][0].numpy() > 0) == inside).mean()
    assert agreement > 0.95


def test_propagating_without_a_prompt_is_refused(predictor, session):
    with pytest.raises(RuntimeError, match="nothing to track"):
        run(predictor, session)
    session.objects["empty"] = ObjectTrack()
    with pytest.raises(RuntimeError, match="'empty' has no prompt"):
        run(predictor, session)


def test_an_unknown_object_is_named(predictor, session):
    predictor.add_new_points_or_box(session, 0, "cat", **CLICK)
    with pytest.raises(ValueError, match=r"'dog' is unknown; this session has \['cat'\]"):
        predictor.clear_all_prompts_in_frame(session, 0, "dog")
    with pytest.raises(ValueError, match="unknown"):
        predictor.remove_object(session, "dog", strict=True)


@pytest.mark.parametrize(
    "kwargs", [{"start_frame_idx": COUNT}, {"start_frame_idx": -2}, {"max_frame_num_to_track": -1}]
)
def test_a_range_outside_the_clip_is_refused(predictor, session, kwargs):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    with pytest.raises(ValueError, match="start_frame_idx|max_frame_num_to_track"):
        run(predictor, session, **kwargs)


class CutOff(FrameList):
    """A clip that promises more than it holds."""

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
    from PIL import Image

    pictures = [Image.fromarray(frame(i)) for i in range(4)]
    session = predictor.init_state([*pictures[:3], pictures[3].resize((20, 20))])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    with pytest.raises(ValueError, match="frame 3 is 20x20"):
        run(predictor, session)
    assert sorted(session.objects[1].bank.tracked) == [1, 2]
    assert isinstance(session.objects[1].bank, MemoryBank)
