"""Scene cuts: found in both directions, not where a scene moves or its brightness changes a little."""

import numpy as np
import pytest

from sam2nb.media.cuts import CutDetector

SIZE = (90, 120, 3)


def scene(seed: int) -> np.ndarray:
    """Blocks of one colour scheme."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.repeat(np.repeat(blocks, 15, axis=0), 15, axis=1)


def moved(image: np.ndarray, pixels: int) -> np.ndarray:
    return np.roll(image, pixels, axis=1)


def shown(frames, numbers) -> CutDetector:
    detector = CutDetector()
    for number in numbers:
        detector.show(number, frames[number])
    return detector


@pytest.fixture
def frames():
    """Two shots of four frames each, both with a little motion."""
    return [moved(scene(0), i) for i in range(4)] + [moved(scene(1), i) for i in range(4)]


@pytest.mark.parametrize("numbers", [range(8), range(7, -1, -1)], ids=["forwards", "backwards"])
def test_a_cut_is_found_in_both_directions(frames, numbers):
    assert shown(frames, numbers).cuts == {4}


def test_motion_and_a_change_of_light_are_no_cuts():
    frames = [moved(scene(0), i) for i in range(4)]
    frames += [np.clip(frame.astype(int) + 12, 0, 255).astype(np.uint8) for frame in frames]
    assert shown(frames, range(8)).cuts == set()


def test_frames_that_are_not_neighbours_are_not_compared(frames):
    assert shown(frames, [0, 7, 1, 6]).cuts == set()


def test_a_frame_that_is_shown_again_counts_as_it_is_now(frames):
    detector = CutDetector()
    for number, image in ((0, frames[0]), (1, frames[5]), (1, frames[1]), (2, frames[6]), (2, frames[6])):
        detector.show(number, image)
    assert detector.cuts == {2}


def test_the_first_frame_is_no_cut(frames):
    assert not CutDetector().show(0, frames[0])


def test_the_start_of_a_shot_is_seen_from_either_side(frames):
    detector = shown(frames, range(8))
    assert [detector.shot_start(f) for f in (0, 3, 4, 7)] == [None, None, 4, 4]
    assert [detector.shot_start(f, reverse=True) for f in (7, 4, 3, 0)] == [None, None, 3, 3]
    detector.forget_before(5)
    assert detector.shot_start(7) is None


@pytest.mark.parametrize("size", [(1, 1, 3), (3, 2000, 3), (1080, 1920, 3)])
def test_frames_of_any_size(size):
    black, white = np.zeros(size, np.uint8), np.full(size, 255, np.uint8)
    assert shown([black, black, white], range(3)).cuts == {2}
