"""Objects in volumes: prompts on any slice, both ways."""

import numpy as np
import pytest

from sam2nb import SAM2VideoPredictor, VolumeSlices, load_model, segment_volume
from sam2nb.predict.video.volume import propagate_both_ways
from tests.predict.video.clips import CLICK, OTHER, frame

DEPTH = 9


@pytest.fixture(scope="module")
def ball():
    """A ball of soft tissue in air, in Hounsfield units with noise, and its exact voxels: (9, 48, 64)."""
    z, y, x = np.mgrid[:DEPTH, :48, :64]
    inside = ((z - 4) / 5) ** 2 + ((y - 22) / 15) ** 2 + ((x - 30) / 18) ** 2 < 1
    air = np.random.default_rng(0).normal(-900, 20, inside.shape)
    return (air + 950 * inside).astype(np.int16), inside


@pytest.fixture(scope="module")
def nano():
    return SAM2VideoPredictor(load_model("sam2nb_nano", device="cpu", image_size=128), progress=False)


def box_of(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize(("axis", "middle"), [(0, 4), (1, 22)])
def test_a_box_on_one_slice_finds_the_ball_along_any_axis(nano, ball, axis, middle):
    volume, inside = ball
    session = nano.init_state(VolumeSlices(volume, axis=axis, window=(-1000, 200)))
    nano.add_new_points_or_box(session, middle, 1, box=box_of(inside.take(middle, axis)))
    found = segment_volume(nano, session)
    assert list(found) == [1] and found[1].shape == volume.shape and found[1].dtype == bool
    assert (found[1] & inside).sum() / (found[1] | inside).sum() > 0.85


def test_every_object_goes_both_ways_from_its_own_first_slice(predictor):
    volume = np.stack([frame(index)[..., 0] for index in range(8)])

    def prompted():
        session = predictor.init_state(VolumeSlices(volume))
        predictor.add_new_points_or_box(session, 5, "late", **CLICK)
        predictor.add_new_points_or_box(session, 2, "early", **OTHER)
        return session

    session = prompted()
    order = [(result.obj_ids, result.frame_idx) for result in propagate_both_ways(predictor, session)]
    assert order == [
        *((["early"], index) for index in (2, 1, 0, 2, 3, 4, 5, 6, 7)),
        *((["late"], index) for index in (5, 4, 3, 2, 1, 0, 5, 6, 7)),
    ]
    found = segment_volume(predictor, prompted())
    alone = predictor.init_state(VolumeSlices(volume))
    predictor.add_new_points_or_box(alone, 5, "late", **CLICK)
    assert np.array_equal(segment_volume(predictor, alone)["late"], found["late"]) and list(found) == ["late", "early"]


def test_objects_of_one_slice_go_together_and_the_first_slice_has_nothing_before_it(predictor):
    session = predictor.init_state(VolumeSlices(np.stack([frame(index)[..., 0] for index in range(3)])))
    predictor.add_new_points_or_box(session, 0, 1, **CLICK)
    predictor.add_new_points_or_box(session, 0, 2, **OTHER)
    order = [(result.obj_ids, result.frame_idx) for result in propagate_both_ways(predictor, session)]
    assert order == [([1, 2], 0), ([1, 2], 1), ([1, 2], 2)]


def test_a_later_prompt_counts_when_it_is_called_again(nano, ball):
    volume, inside = ball
    session = nano.init_state(VolumeSlices(volume))
    nano.add_new_mask(session, 4, 1, np.zeros(inside.shape[1:], bool))
    nothing = segment_volume(nano, session)[1]
    nano.add_new_mask(session, 2, 1, inside[2])
    assert np.array_equal(segment_volume(nano, session)[1][2], inside[2]) and not nothing[2].any()


def test_other_videos_and_sessions_without_prompts_are_refused(predictor, session):
    with pytest.raises(TypeError, match="must be of VolumeSlices, got one of FrameList"):
        segment_volume(predictor, session)
    empty = predictor.init_state(VolumeSlices(np.zeros((2, 8, 8))))
    with pytest.raises(RuntimeError, match="nothing to track"):
        segment_volume(predictor, empty)
