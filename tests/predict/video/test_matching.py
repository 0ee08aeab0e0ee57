"""Tracking by matching image features: the labels that are carried along, and whole sessions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sam2nb import SAM2VideoPredictor
from sam2nb.evaluation.datasets import open_clips
from sam2nb.evaluation.metrics import mask_iou
from sam2nb.predict.video.matching import carry_labels, familiar_share
from sam2nb.predict.video.views import GRID, View
from sam2nb.weights.checkpoint import PART_WORDS
from tests.predict.video.clips import CLICK, COUNT, OTHER, SIZE_HW, frame, run, small_model

CELLS = GRID * GRID
EVERYWHERE = torch.tensor([0.0, 0, 1, 1])


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def predictor(model):
    return SAM2VideoPredictor(model, memory="match", progress=False)


@pytest.fixture
def session(predictor):
    return predictor.init_state([frame(i) for i in range(COUNT)])


@pytest.fixture(scope="module")
def distinct():
    """A view whose cells are all different, with an object on its left half."""
    torch.manual_seed(0)
    covered = torch.zeros(1, GRID, GRID)
    covered[..., : GRID // 2] = 1
    return View(EVERYWHERE, F.normalize(torch.randn(CELLS, 64), dim=1), covered.flatten(1))


# --- labels -----------------------------------------------------------------------------------------------------------


def test_a_frame_that_looks_the_same_takes_over_the_labels(distinct):
    carried = carry_labels(distinct, [(distinct, None)])
    assert torch.equal(carried > 0.5, distinct.covered > 0.5)


def test_labels_move_with_the_features(distinct):
    moved = distinct.cells.unflatten(0, (GRID, GRID)).roll(5, dims=1).flatten(0, 1)
    carried = carry_labels(View(EVERYWHERE, moved), [(distinct, None)]).view(GRID, GRID) > 0.5
    assert torch.equal(carried, distinct.covered.view(GRID, GRID).roll(5, dims=1) > 0.5)


def test_cells_out_of_reach_are_not_looked_up(distinct):
    moved = distinct.cells.unflatten(0, (GRID, GRID)).roll(GRID // 2, dims=1).flatten(0, 1)
    near = carry_labels(View(EVERYWHERE, moved), [(distinct, 2 / GRID)]).view(GRID, GRID)
    middle_of_the_left = near[:, GRID // 4] > 0.5
    assert middle_of_the_left.all()  # its twins are far away on the right, outside the object


def test_several_objects_are_labelled_in_one_look_up(distinct):
    both = distinct._replace(covered=torch.cat((distinct.covered, 1 - distinct.covered)))
    left, right = carry_labels(distinct, [(both, None)])
    assert torch.allclose(left + right, torch.ones(CELLS), atol=1e-5)


def test_a_mask_is_familiar_as_far_as_its_cells_are_those_of_the_object(distinct):
    masks = torch.zeros(3, GRID, GRID)
    masks[0, ..., : GRID // 2] = masks[1, ..., GRID // 2 :] = masks[2, ..., GRID // 4 : 3 * GRID // 4] = 1
    object_, background, half = (float(familiar_share(distinct.cells, mask.flatten(), [distinct])) for mask in masks)
    assert (object_, background) == (1, 0) and half == pytest.approx(0.5)


def test_an_empty_mask_is_not_familiar_and_without_evidence_every_mask_is(distinct):
    mask = torch.ones(CELLS)
    assert familiar_share(distinct.cells, 0 * mask, [distinct]) == 0
    unlabelled = distinct._replace(covered=torch.zeros(1, CELLS))
    assert familiar_share(distinct.cells, mask, [unlabelled]) == 1


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_nothing_is_read_that_image_only_weights_lack(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    before = run(predictor, session)
    spoiled = small_model()
    for name, weights in spoiled.named_parameters():
        if name.startswith((*PART_WORDS, "maskmem_tpos_enc", "no_obj_ptr", "mask_downsample")):
            weights.data.fill_(torch.nan)
    other = SAM2VideoPredictor(spoiled, memory="match", progress=False)
    again = other.init_state([frame(i) for i in range(COUNT)])
    other.add_new_points_or_box(again, 0, 1, **CLICK)
    assert all(torch.equal(before[index], masks) for index, masks in run(other, again).items())


def test_objects_in_one_pass_are_tracked_as_each_one_alone(predictor):
    alone = []
    for click in (CLICK, OTHER):
        session = predictor.init_state([frame(i) for i in range(COUNT)])
        predictor.add_new_points_or_box(session, 0, 1, **click)
        alone.append(run(predictor, session))
    session = predictor.init_state([frame(i) for i in range(COUNT)])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    for index, masks in run(predictor, session).items():
        agree = (masks[:, 0] > 0) == (torch.cat([tracks[index] for tracks in alone])[:, 0] > 0)
        assert agree.float().mean() > 0.99


def test_prompts_corrections_and_both_directions_fit_one_session(predictor, session):
    mask = np.zeros(SIZE_HW, bool)
    mask[10:30, 12:32] = True
    predictor.add_new_mask(session, 4, 1, mask)
    predictor.add_new_points_or_box(session, 2, 2, box=[8, 8, 30, 32])
    run(predictor, session)
    run(predictor, session, reverse=True)
    assert all(session.objects[1].prediction_at(i) is not None for i in range(COUNT))
    corrected = predictor.add_new_points_or_box(session, 6, 1, **CLICK)
    assert torch.equal(run(predictor, session)[6][0], corrected.masks[0])  # the correction lasts
    predictor.remove_object(session, 2)
    assert all(len(masks) == 1 for masks in run(predictor, session).values())


def test_an_empty_mask_stays_empty(predictor, session):
    predictor.add_new_mask(session, 0, 1, np.zeros(SIZE_HW, bool))
    assert all((masks <= 0).all() for masks in run(predictor, session).values())


@pytest.mark.parametrize("colour", [0, 255])
def test_frames_of_one_colour_are_tracked_without_an_error(predictor, colour):
    session = predictor.init_state([frame(0), *np.full((3, *SIZE_HW, 3), colour, np.uint8)])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    assert all(masks.isfinite().all() for masks in run(predictor, session).values())


def test_a_clip_of_a_single_frame(predictor):
    session = predictor.init_state([frame(0)])
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    assert list(run(predictor, session)) == [0]


def test_memories_are_kept_where_the_session_wants_them(predictor):
    session = predictor.init_state([frame(i) for i in range(3)], offload_state_to_cpu=True)
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    memory = session.objects[1].bank[1]
    assert memory.frame.cells.dtype is torch.bfloat16 and memory.frame.cells.device.type == "cpu"


def test_objects_of_a_frame_share_its_features(predictor, session):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    run(predictor, session)
    one, two = (session.objects[obj_id].bank[1] for obj_id in (1, 2))
    assert one.frame.cells.data_ptr() == two.frame.cells.data_ptr()
    assert one.mask_logits.data_ptr() != two.mask_logits.data_ptr()


def test_a_stream_keeps_a_constant_number_of_memories(predictor):
    stream = predictor.stream()
    kept = []
    for index in range(60):
        stream.push(frame(index % COUNT))
        if index == 0:
            stream.add_new_points_or_box(1, **CLICK)
        kept.append(len(stream.session.objects[1].bank.tracked))
    assert set(kept[30:]) == {16}


def test_half_precision_tracks_the_same_object(model, session, predictor):
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    full = run(predictor, session)
    predictor.reset_state(session)
    model.compute_dtype = torch.bfloat16
    try:
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
        half = run(predictor, session)
    finally:
        model.compute_dtype = torch.float32
    assert all(masks.dtype is torch.float32 and masks.shape == full[i].shape for i, masks in half.items())
    assert all(((masks > 0) == (full[i] > 0)).float().mean() > 0.9 for i, masks in half.items())


# --- genuine weights --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def genuine(genuine_tiny):
    from sam2nb import load_model

    return SAM2VideoPredictor(load_model("sam2_hiera_tiny", device="cpu", image_size=512), progress=False)


@pytest.fixture(scope="module")
def clip():
    return next(clip for clip in open_clips() if clip.name == "tuxpaint_00")


def test_genuine_features_follow_two_flies_that_look_alike(genuine, clip):
    frames = range(0, 16, 3)
    session = genuine.init_state([clip.frame(i) for i in frames])
    for obj_id in (1, 2):
        genuine.add_new_mask(session, 0, obj_id, clip.mask(0, obj_id))
    last = run(genuine, session)[len(frames) - 1]
    for row, obj_id in enumerate((1, 2)):
        assert mask_iou((last[row, 0] > 0).numpy(), clip.mask(frames[-1], obj_id)) > 0.8


def test_on_black_frames_an_object_is_absent_and_found_when_it_returns(genuine, clip):
    black = np.zeros_like(clip.frame(0))
    session = genuine.init_state([clip.frame(0), black, black, clip.frame(1)])
    genuine.add_new_mask(session, 0, 1, clip.mask(0, 1))
    masks = run(genuine, session)
    assert (masks[1] <= 0).all() and (masks[2] <= 0).all()
    assert mask_iou((masks[3][0, 0] > 0).numpy(), clip.mask(1, 1)) > 0.8
