"""Saved sessions: going on after loading gives what an uninterrupted run gives, and nothing else can be loaded."""

import random
from operator import attrgetter

import numpy as np
import pytest
import torch

from sam2nb import SAM2VideoPredictor
from sam2nb.media.video import FrameList
from sam2nb.predict.video.saving import load_session
from tests.predict.video.clips import CLICK, COUNT, OTHER, SIZE_HW, frame, run, small_model

CLIP = [frame(i) for i in range(COUNT)]
KINDS = [{"memory": m} for m in ("official", "steady", "anchored", "match")] + [{"search": "region"}]
KINDS += [{"memory": "match", "search": "region"}]
MASK = np.zeros(SIZE_HW, np.uint8)
MASK[2:12, 30:50] = 1


def predictor_of(model, **options) -> SAM2VideoPredictor:
    return SAM2VideoPredictor(model, progress=False, **options)


def prompted(predictor, video=CLIP):
    """A session with three objects: by a click, by a box, by a mask, the last on a later frame."""
    session = predictor.init_state(video)
    predictor.add_new_points_or_box(session, 0, "cat", **CLICK)
    predictor.add_new_points_or_box(session, 0, 7, box=[30, 2, 50, 20])
    predictor.add_new_mask(session, 2, -1, MASK)
    return session


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.fixture
def saved(predictor, tmp_path):
    """A session of the official memory that reached frame 3."""
    session = prompted(predictor)
    run(predictor, session, max_frame_num_to_track=3)
    return predictor.save_session(session, tmp_path / "clip.session")


@pytest.mark.parametrize(
    ("options", "reached"),
    [*((options, 3) for options in KINDS), ({"memory": "official"}, 0), ({"memory": "match"}, COUNT - 1)],
    ids=str,
)
def test_propagating_on_gives_the_bits_of_an_uninterrupted_run(model, tmp_path, options, reached):
    predictor = predictor_of(model, **options)
    whole = prompted(predictor)
    expected = {r.frame_idx: r for r in predictor.propagate_in_video(whole)}
    begun = prompted(predictor)
    run(predictor, begun, max_frame_num_to_track=reached)
    path = predictor.save_session(begun, tmp_path / "clip.session")

    other = predictor_of(model, **options)
    session = other.load_session(path, CLIP)
    assert session.obj_ids == ["cat", 7, -1] and session.reached() == reached
    known = {index: other.tracker.result(session, index) for index in range(reached)}
    found = known | {r.frame_idx: r for r in other.propagate_in_video(session, start_frame_idx=session.reached())}
    for index, result in expected.items():
        assert torch.equal(found[index].masks, result.masks), index
        for scores in ("quality", "presence"):
            assert torch.equal(getattr(found[index], scores).nan_to_num(-1), getattr(result, scores).nan_to_num(-1))
    assert {i: t.facts for i, t in session.objects.items()} == {i: t.facts for i, t in whole.objects.items()}


def test_both_directions_go_on(model, predictor, tmp_path):
    def begin():
        session = predictor.init_state(CLIP)
        predictor.add_new_points_or_box(session, 5, "cat", **CLICK)
        return session

    whole = begin()
    expected = [run(predictor, whole, reverse=True), run(predictor, whole)]
    begun = begin()
    for _, result in zip(range(3), predictor.propagate_in_video(begun, reverse=True), strict=False):
        assert result.frame_idx >= 3  # killed after frame 3
    session = predictor.load_session(predictor.save_session(begun, tmp_path / "a"), CLIP)
    assert (session.reached(reverse=True), session.reached()) == (3, None)
    back = run(predictor, session, start_frame_idx=3, reverse=True)
    session = predictor.load_session(predictor.save_session(session, tmp_path / "a"), CLIP)
    assert session.reached(reverse=True) == 0
    assert same(back, {index: expected[0][index] for index in range(4)})
    assert same(run(predictor, session, start_frame_idx=session.reached()), expected[1])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("options", [KINDS[0], KINDS[3], KINDS[4]], ids=str)
def test_a_session_that_is_reloaded_after_every_step_goes_the_same_way(model, tmp_path, seed, options):
    """Prompts, corrections, cleared and removed objects, propagation in both directions, in random order."""
    predictor = predictor_of(model, **options)
    rng = random.Random(seed)
    kept, reloaded = predictor.init_state(CLIP), predictor.init_state(CLIP)

    def click():
        where = {"points": [[rng.randrange(56), rng.randrange(40)]], "labels": [rng.randrange(2)]}
        step = (rng.randrange(COUNT), rng.choice(["a", 2]))
        return lambda s: predictor.add_new_points_or_box(s, *step, **where, clear_old_points=False).masks

    def propagate():
        options = {"start_frame_idx": rng.randrange(COUNT), "max_frame_num_to_track": 3, "reverse": rng.random() < 0.4}
        return lambda s: list(run(predictor, s, **options).values())

    def clear():
        index, obj_id = rng.randrange(COUNT), rng.choice(["a", 2])
        return lambda s: predictor.clear_all_prompts_in_frame(s, index, obj_id).masks

    for step in [click(), click(), propagate(), *(rng.choice([click, propagate, clear])() for _ in range(5))]:
        outcomes = []
        for session in (kept, reloaded):
            try:
                outcomes.append(step(session))
            except (RuntimeError, ValueError) as error:  # an object without a prompt, or unknown
                outcomes.append(str(error))
        assert type(outcomes[0]) is type(outcomes[1])
        if isinstance(outcomes[0], str):
            assert outcomes[0] == outcomes[1]
        else:
            assert all(map(torch.equal, outcomes[0], outcomes[1]))
        reloaded = predictor.load_session(predictor.save_session(reloaded, tmp_path / "a"), CLIP)


def test_a_prompt_that_was_not_settled_is_kept(predictor, tmp_path):
    session = predictor.load_session(predictor.save_session(prompted(predictor), tmp_path / "a"), CLIP)
    assert session.reached() is None and set(session.objects["cat"].pending) == {0}
    assert same(run(predictor, session), run(predictor, prompted(predictor)))


def test_matched_objects_share_the_features_of_a_frame_in_the_file_and_after_loading(model, tmp_path):
    predictor = predictor_of(model, memory="match")
    sizes = []
    for count in (1, 2):
        session = predictor.init_state(CLIP)
        for obj_id in range(count):
            predictor.add_new_points_or_box(session, 0, obj_id, **CLICK)
        run(predictor, session)
        path = predictor.save_session(session, tmp_path / "a")
        sizes.append(path.stat().st_size)
    banks = [track.bank for track in predictor.load_session(path, CLIP).objects.values()]
    assert banks[0].tracked[3].frame.cells is banks[1].tracked[3].frame.cells
    assert sizes[1] < 1.8 * sizes[0]


@pytest.mark.parametrize("memory", ["official", "match"])
def test_memories_go_where_a_tracker_would_keep_them(model, tmp_path, memory):
    def devices(value) -> list:
        parts = value if isinstance(value, tuple) else vars(value).values() if hasattr(value, "__dict__") else ()
        return [value.device.type] if isinstance(value, torch.Tensor) else [d for part in parts for d in devices(part)]

    predictor, elsewhere = predictor_of(model, memory=memory), torch.device("meta")
    session = prompted(predictor)
    run(predictor, session)
    predictor.add_new_points_or_box(session, 5, "cat", **CLICK)
    path = predictor.save_session(session, tmp_path / "a")
    loaded = load_session(predictor.tracker, path, session.frames, elsewhere)
    for obj_id, track in session.objects.items():
        other = loaded.objects[obj_id]
        for part in ("pending", "bank.prompted", "bank.tracked"):
            mine, theirs = attrgetter(part)(track), attrgetter(part)(other)
            assert mine.keys() == theirs.keys()
            for index, kept in mine.items():
                found = devices(theirs[index])
                assert found == devices(kept.stored(elsewhere)) and {"cpu", "meta"} == set(found)
        assert all("meta" not in devices(prompt) for prompt in other.prompts.values())


def test_an_empty_session_can_be_saved(predictor, tmp_path):
    path = predictor.save_session(predictor.init_state(CLIP), tmp_path / "a")
    assert predictor.load_session(path, CLIP).objects == {}


def test_numpy_ids_become_plain_and_others_are_refused(predictor, session, tmp_path):
    predictor.add_new_points_or_box(session, 0, np.int64(3), **CLICK)
    path = predictor.save_session(session, tmp_path / "a")
    [obj_id] = predictor.load_session(path, CLIP).obj_ids
    assert type(obj_id) is int and obj_id == 3
    predictor.add_new_points_or_box(session, 0, (1, 2), **OTHER)
    with pytest.raises(ValueError, match=r"obj_id must be a number or a string .* got \(1, 2\)"):
        predictor.save_session(session, tmp_path / "a")


def test_a_stream_is_not_saved(predictor, tmp_path):
    with pytest.raises(ValueError, match="a stream cannot be saved"):
        predictor.save_session(predictor.stream().session, tmp_path / "a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "match"}, "tracked with memory='official', here it is 'match'"),
        ({"memory": "steady"}, "tracked with memory='official', here it is 'steady'"),
        ({"search": "region"}, "tracked with search='frame', here it is 'region'"),
        ({"fill_hole_area": 0}, "tracked with fill_hole_area=8, here it is 0"),
        ({"non_overlap_masks": True}, "tracked with non_overlap_masks=False, here it is True"),
    ],
)
def test_other_options_are_refused_by_name(model, saved, options, message):
    with pytest.raises(ValueError, match=f"clip.session was {message}"):
        predictor_of(model, **options).load_session(saved, CLIP)


def test_other_weights_are_refused(saved):
    other = small_model()
    with torch.no_grad():
        other.no_mem_embed += 1
    with pytest.raises(ValueError, match="clip.session was saved with other weights: sam2.1_hiera_t"):
        predictor_of(other).load_session(saved, CLIP)


def test_another_size_or_precision_is_refused(model, saved, monkeypatch):
    monkeypatch.setattr(model, "image_size", 96)
    with pytest.raises(ValueError, match="image_size=64, the model has 96"):
        predictor_of(model).load_session(saved, CLIP)
    monkeypatch.undo()
    monkeypatch.setattr(model, "compute_dtype", torch.bfloat16)
    with pytest.raises(ValueError, match="dtype='float32', the model computes in 'bfloat16'"):
        predictor_of(model).load_session(saved, CLIP)


def test_another_video_is_refused_and_another_decoder_is_not(predictor, saved):
    with pytest.raises(ValueError, match="belongs to a video of 8 frames of 56x40, this one has 7 frames of 56x40"):
        predictor.load_session(saved, CLIP[:-1])
    with pytest.raises(ValueError, match="this one has 8 frames of 40x40"):
        predictor.load_session(saved, [rgb[:, :40] for rgb in CLIP])
    with pytest.raises(ValueError, match="belongs to another video: its first frame looks different"):
        predictor.load_session(saved, [255 - rgb for rgb in CLIP])
    noisy = [np.clip(rgb.astype(int) + np.random.default_rng(0).integers(-3, 4, rgb.shape), 0, 255) for rgb in CLIP]
    assert predictor.load_session(saved, FrameList([rgb.astype(np.uint8) for rgb in noisy])).obj_ids


def test_a_truncated_file_and_a_missing_one_are_named(predictor, saved, tmp_path):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match="clip.session is truncated or damaged"):
        predictor.load_session(saved, CLIP)
    with pytest.raises(FileNotFoundError, match="there is no video session"):
        predictor.load_session(tmp_path / "none", CLIP)


def test_a_state_of_unknown_parts_is_refused(predictor, saved, monkeypatch):
    from sam2nb.predict.video import saving

    monkeypatch.setattr(saving, "TYPES", saving.TYPES[:-1])
    with pytest.raises(ValueError, match="written by another version of sam2nb: 'Facts'"):
        predictor.load_session(saved, CLIP)


def test_half_precision_goes_on_too(tmp_path):
    model = small_model()
    model.compute_dtype = torch.bfloat16
    predictor = predictor_of(model)
    begun = prompted(predictor)
    run(predictor, begun, max_frame_num_to_track=2)
    session = predictor.load_session(predictor.save_session(begun, tmp_path / "a"), CLIP)
    expected = run(predictor, prompted(predictor))
    assert same(run(predictor, session, start_frame_idx=2), {i: expected[i] for i in range(2, COUNT)})
