"""Search-region tracking: sharper masks of small objects, the way back when an object leaves its region."""

import numpy as np
import pytest
import torch

from sam2nb import SAM2VideoPredictor, load_model
from sam2nb.structures import WHOLE_FRAME
from tests.predict.video.clips import CLICK, COUNT, OTHER, frame, run, small_model

SIZE_HW = (180, 240)


@pytest.fixture(scope="module")
def nano():
    return load_model("sam2nb_nano", device="cpu", image_size=128)


def scene(x: int | None, y: int = 80, side: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A red square on a quiet background and its mask; x: of its left edge, None without it."""
    rows, columns = np.indices(SIZE_HW)
    rgb = np.stack((90 + rows // 6, 120 + columns // 8, np.full(SIZE_HW, 110)), axis=-1).astype(np.uint8)
    mask = np.zeros(SIZE_HW, bool)
    if x is not None:
        mask[y : y + side, x : x + side] = True
        rgb[mask] = (215, 35, 40)
    return rgb, mask


def play(predictor, scenes):
    session = predictor.init_state([rgb for rgb, _ in scenes])
    predictor.add_new_mask(session, 0, 1, scenes[0][1])
    masks = run(predictor, session)
    return session, [(masks[n][0, 0] > 0).numpy() for n in range(len(scenes))]


def iou(mask, truth) -> float:
    return float((mask & truth).sum() / max((mask | truth).sum(), 1))


def test_a_small_object_is_segmented_in_a_region_more_finely(nano):
    scenes = [scene(30 + 4 * n) for n in range(12)]
    found = {}
    for search in ("frame", "region"):
        session, masks = play(SAM2VideoPredictor(nano, search=search, progress=False), scenes)
        found[search] = np.mean([iou(mask, truth) for mask, (_, truth) in zip(masks[1:], scenes[1:], strict=True)])
    assert found["region"] > found["frame"] and found["region"] > 0.85, found
    assert any(memory.region != WHOLE_FRAME for memory in session.objects[1].bank.tracked.values())


def test_an_object_that_moves_out_of_its_region_is_found_again(nano):
    """It jumps across the frame, further than any region around its last place reaches."""
    scenes = [scene(20)] * 4 + [scene(190)] * 5
    _, masks = play(SAM2VideoPredictor(nano, search="region", progress=False), scenes)
    assert iou(masks[-1], scenes[-1][1]) > 0.7


def test_an_object_that_leaves_is_absent_and_comes_back(nano):
    scenes = [scene(100)] * 4 + [scene(None)] * 5 + [scene(100)] * 5
    session, masks = play(SAM2VideoPredictor(nano, search="region", progress=False), scenes)
    assert masks[7].sum() == 0 and iou(masks[-1], scenes[-1][1]) > 0.7
    assert not session.objects[1].facts[7].visible


def test_an_object_that_grows_gets_a_larger_region(nano):
    scenes = [scene(100 - 4 * n, 80 - 3 * n, 24 + 7 * n) for n in range(14)]
    session, masks = play(SAM2VideoPredictor(nano, search="region", progress=False), scenes)
    assert iou(masks[-1], scenes[-1][1]) > 0.8
    assert session.objects[1].bank.tracked[13].region == WHOLE_FRAME


# --- with random weights: what must hold whatever the masks are -------------------------------------------------------


@pytest.fixture(scope="module")
def predictor():
    return SAM2VideoPredictor(small_model(), search="region", progress=False)


def open_clip(predictor):
    return predictor.init_state([frame(i) for i in range(COUNT)])


def test_objects_of_one_session_are_as_if_alone(predictor):
    """Where their regions are not shared; the second one joins on another frame."""
    together = open_clip(predictor)
    predictor.add_new_points_or_box(together, 0, 1, **CLICK)
    predictor.add_new_points_or_box(together, 2, 2, **OTHER)
    both = run(predictor, together)
    assert all(masks.shape[0] == 2 for masks in both.values()) and set(both) == set(range(COUNT))


def test_tracking_backwards_and_again_gives_the_same(predictor):
    session = open_clip(predictor)
    predictor.add_new_points_or_box(session, 4, 1, **CLICK)
    first, back = run(predictor, session), run(predictor, session, reverse=True)
    again = run(predictor, session)
    assert set(back) == {0, 1, 2, 3, 4}
    assert torch.equal(first[4], again[4])


def test_a_correction_attends_to_memories_of_its_own_kind(predictor):
    session = open_clip(predictor)
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    run(predictor, session)
    predictor.add_new_points_or_box(session, 5, 1, points=[[30, 22]], labels=[1])
    masks = run(predictor, session)
    track = session.objects[1]
    assert set(track.bank.prompted) == set(track.wide.prompted) == {0, 5}
    assert all(memory.region == WHOLE_FRAME for memory in (*track.wide.prompted.values(), *track.wide.tracked.values()))
    assert torch.isfinite(masks[7]).all()


def test_clearing_a_prompt_keeps_both_memories_as_tracked(predictor):
    session = open_clip(predictor)
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 3, 1, **CLICK)
    run(predictor, session)
    predictor.clear_all_prompts_in_frame(session, 3, 1)
    track = session.objects[1]
    assert set(track.bank.prompted) == set(track.wide.prompted) == {0} and 3 in track.wide.tracked


def test_a_saved_session_goes_on_to_the_bit(predictor, tmp_path):
    whole, half = open_clip(predictor), open_clip(predictor)
    for session in (whole, half):
        predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    expected = run(predictor, whole)
    run(predictor, half, max_frame_num_to_track=3)
    path = predictor.save_session(half, tmp_path / "half.safetensors")
    loaded = predictor.load_session(path, [frame(i) for i in range(COUNT)])
    rest = run(predictor, loaded, start_frame_idx=loaded.reached())
    assert set(rest) == {3, 4, 5, 6, 7} and all(torch.equal(rest[n], expected[n]) for n in rest)


def test_a_stream_keeps_a_constant_number_of_memories(predictor, monkeypatch):
    def play():
        stream, masks, kept = predictor.stream(max_prompted=2), [], []
        for index in range(70):
            masks.append(stream.push(frame(index % 8)).masks)
            if index in (0, 5, 11):
                stream.add_new_points_or_box(1, **CLICK)
            track = stream.session.objects[1]
            kept.append(sum(len(bank.prompted) + len(bank.tracked) for bank in (track.bank, track.wide)))
        return masks, kept

    forgetful, kept = play()
    assert max(kept[40:]) <= max(kept[:40]) <= 2 * (2 + 18)
    monkeypatch.setattr("sam2nb.predict.video.region_tracker.RegionTracker.forget_before", lambda *_: None)
    assert all(torch.equal(a, b) for a, b in zip(forgetful, play()[0], strict=True))


def test_policies_and_motion_work_in_regions(predictor):
    for options in ({"memory": "anchored"}, {"memory": "steady", "motion": True}, {"memory": "match"}):
        searching = SAM2VideoPredictor(predictor.model, search="region", progress=False, **options)
        session = open_clip(searching)
        searching.add_new_points_or_box(session, 0, 1, box=[8, 10, 28, 30])
        searching.add_new_points_or_box(session, 0, 2, **OTHER)
        masks = run(searching, session)
        assert set(masks) == set(range(COUNT)) and all(torch.isfinite(mask).all() for mask in masks.values())


def test_an_unknown_search_is_refused_by_name():
    with pytest.raises(ValueError, match="search must be one of frame, region, got 'crop'"):
        SAM2VideoPredictor(small_model(), search="crop")
