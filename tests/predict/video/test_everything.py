"""Everything in a video: squares that come, move, vanish and return, found by their colours."""

import json

import numpy as np
import pytest
import torch

from sam2nb import EverythingStream, SAM2AutomaticMaskGenerator, SAM2VideoPredictor, load_model, track_everything
from sam2nb.export.tracks import save_tracks
from sam2nb.masks.measure import iou
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.predict.video.session import FrameResult
from tests.mask_cases import OPEN

SIZE_HW = (96, 128)
RED, BLUE, WHITE = (220, 40, 40), (40, 60, 220), (245, 245, 245)
GONE = range(6, 24)  # where the blue square is absent
ANYTHING = {"every": 5, "rest_after": 4}


def frame(index: int, blue_x: int = 70) -> np.ndarray:
    """A red square that moves right, and a blue one that is absent for a while."""
    rgb = np.full((*SIZE_HW, 3), (120, 150, 120), np.uint8)
    rgb[20:50, 10 + index : 40 + index] = RED
    if index not in GONE:
        rgb[60:84, blue_x : blue_x + 30] = BLUE
    return rgb


class ByColor:
    """In place of everything mode: the exact mask of each square."""

    def __init__(self, *colors):
        self.colors, self.calls = colors, 0

    def generate(self, image):
        self.calls += 1
        masks = [(image == color).all(axis=-1) for color in self.colors]
        return [{"segmentation": mask} for mask in masks if mask.any()]


@pytest.fixture(scope="module")
def nano():
    return load_model("sam2nb_nano", device="cpu", image_size=128)


@pytest.fixture
def predictor(nano):
    return SAM2VideoPredictor(nano, progress=False)


def play(predictor, frames, **options) -> list[FrameResult]:
    return list(track_everything(predictor, frames, generator=ByColor(RED, BLUE), **{**ANYTHING, **options}))


def test_objects_are_found_and_followed_and_a_lost_one_rests_and_returns(predictor):
    results = play(predictor, [frame(i) for i in range(30)])
    ids = [result.obj_ids for result in results]
    assert ids == [[1, 2]] * 10 + [[1]] * 15 + [[1, 2]] * 5
    for index, result in enumerate(results):
        for row, color in zip(result.masks[:, 0] > 0, (RED, BLUE), strict=False):
            truth = torch.from_numpy((frame(index) == color).all(axis=-1))
            assert iou(row, truth) > 0.7 if truth.any() else not row.any()
        assert len(result.quality) == len(result.presence) == len(result.obj_ids)


def test_a_lost_object_is_recognised_at_another_place(predictor):
    results = play(predictor, [frame(i, blue_x=70 if i < 10 else 20) for i in range(27)])
    assert results[20].obj_ids == [1] and results[26].obj_ids == [1, 2]
    assert (results[26].masks[1, 0, 60:84, 20:50] > 0).float().mean() > 0.9


def test_resting_objects_are_computed_on_key_frames_only(predictor):
    stream = EverythingStream(predictor, generator=ByColor(RED, BLUE), **ANYTHING)
    for index in range(23):
        stream.push(frame(index))
        if stream.resting:
            known = stream.resting[2].facts
            assert index == 10 or max(known) == max(10, index - index % 5)
    assert list(stream.resting) == [2] and stream.obj_ids == [1]


def test_an_absent_object_that_does_not_rest_yet_returns_under_its_id(predictor):
    results = play(predictor, [frame(i) for i in range(26)], rest_after=100)
    assert all(result.obj_ids == [1, 2] for result in results)
    assert not (results[15].masks[1] > 0).any() and (results[25].masks[1] > 0).any()


def test_the_stream_gives_what_the_function_gives(predictor):
    frames = [frame(i) for i in range(12)]
    stream = EverythingStream(predictor, iter(frames), generator=ByColor(RED, BLUE), **ANYTHING)
    for ours, theirs in zip(stream, play(predictor, frames), strict=True):
        assert ours.obj_ids == theirs.obj_ids and torch.equal(ours.masks, theirs.masks)
    assert stream.frame_idx == 11


def test_objects_join_later_and_small_ones_never(predictor):
    def at(index):
        rgb = frame(6)  # red only
        rgb[0:2, 0:2] = WHITE
        if index >= 3:
            rgb[60:84, 70:100] = BLUE
        return rgb

    generator = ByColor(RED, BLUE, WHITE)
    results = list(track_everything(predictor, [at(i) for i in range(6)], every=2, generator=generator, ids="ab"))
    assert [result.obj_ids for result in results] == [["a"]] * 4 + [["a", "b"]] * 2
    assert generator.calls == 3


def test_memory_is_bounded_by_the_limit_of_objects(predictor):
    colors = [(x, 250 - x, 128) for x in range(0, 250, 25)]

    def at(index):
        rgb = np.full((*SIZE_HW, 3), (120, 150, 120), np.uint8)
        for row, color in enumerate(colors[index // 2 % 10 :][:4]):  # all change every second frame
            rgb[5 + 20 * row : 20 + 20 * row, 20:50] = color
        return rgb

    stream = EverythingStream(predictor, every=2, max_objects=3, rest_after=1, generator=ByColor(*colors))
    used = set()
    for index in range(24):
        used |= set(stream.push(at(index)).obj_ids)
        assert len(stream.obj_ids) + len(stream.resting) <= 3
        for track in (*stream.session.objects.values(), *stream.resting.values()):
            assert len(track.bank.prompted) + len(track.bank.tracked) <= 8 + 16
    assert used == set(range(1, max(used) + 1))


def test_results_can_be_written_as_those_of_tracking(predictor, tmp_path):
    frames = [frame(i) for i in range(7)]
    results = track_everything(predictor, frames, generator=ByColor(RED, BLUE), **ANYTHING)
    assert save_tracks(results, frames, video=tmp_path / "a.mp4", masks=tmp_path / "m", rle=tmp_path / "a.json") == 7
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert {a["track_id"] for a in annotations} == {1, 2} and all("score" in a for a in annotations)
    assert len(list((tmp_path / "m").iterdir())) == 7 and (tmp_path / "a.mp4").stat().st_size > 0


def test_frames_of_one_colour_and_single_frames_give_results_without_objects(predictor):
    grey = np.full((*SIZE_HW, 3), 90, np.uint8)
    strict = SAM2AutomaticMaskGenerator(predictor.model, points_per_side=2, pred_iou_thresh=1.0)
    for clip in ([grey], [grey] * 4):
        results = list(track_everything(predictor, clip, every=2, generator=strict))
        assert len(results) == len(clip)
        assert all(r.obj_ids == [] and tuple(r.masks.shape) == (0, 1, *SIZE_HW) for r in results)
    assert [r.obj_ids for r in play(predictor, [frame(0)])] == [[1, 2]]


def test_whatever_everything_mode_finds_in_one_colour_can_be_tracked(predictor):
    grey = np.full((*SIZE_HW, 3), 90, np.uint8)
    generator = SAM2AutomaticMaskGenerator(predictor.model, points_per_side=2, **OPEN)
    results = list(track_everything(predictor, [grey] * 3, every=1, max_objects=4, generator=generator, min_area=0))
    assert len(results) == 3 and all(1 <= len(result.obj_ids) <= 4 for result in results)


def test_the_default_generator_finds_squares(predictor):
    [result] = track_everything(predictor, [frame(0)])
    truth = torch.from_numpy((frame(0) == RED).all(axis=-1))
    assert max(iou(mask, truth) for mask in result.masks[:, 0] > 0) > 0.7


def test_a_clip_that_ends_early_is_tracked_as_far_as_it_goes(predictor, caplog):
    class Cut:
        size_hw = SIZE_HW

        def __len__(self):
            return 9

        def __getitem__(self, index):
            if index == 4:
                raise VideoEndedEarly("clip.mp4", 4, 9)
            return frame(index)

    assert [result.frame_idx for result in play(predictor, Cut())] == [0, 1, 2, 3]
    assert "clip.mp4 ends early" in caplog.text and "before frame 4" in caplog.text


def test_an_object_can_be_removed_by_hand(predictor):
    stream = EverythingStream(predictor, generator=ByColor(RED), **ANYTHING)
    stream.push(frame(0))
    del stream.session.objects[1]
    assert [stream.push(frame(i)).obj_ids for i in range(1, 6)] == [[]] * 4 + [[2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be a whole number, 1 or more, got 0"),
        ({"every": 2.5}, "every must be a whole number, 1 or more, got 2.5"),
        ({"max_objects": 0}, "max_objects must be a whole number, 1 or more, got 0"),
        ({"rest_after": 0}, "rest_after must be a whole number, 1 or more, got 0"),
        ({"min_area": 1.5}, "min_area must be a share of the frame"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(predictor, options, message):
    with pytest.raises(ValueError, match=message):
        track_everything(predictor, [frame(0)], **options)


def test_a_frame_of_another_size_and_a_missing_source_are_named(predictor):
    stream = EverythingStream(predictor, generator=ByColor(RED))
    with pytest.raises(ValueError, match="push"):
        next(iter(stream))
    stream.push(frame(0))
    with pytest.raises(ValueError, match="frame 1 is 20x10"):
        stream.push(np.zeros((10, 20, 3), np.uint8))
    assert stream.push(frame(1)).obj_ids == [1]
