"""Rules of the region search: where to look, when to look around, which of two masks to believe."""

import random

import pytest

from sam2nb.model.memory_bank import choose_memories
from sam2nb.predict.video.facts import Facts
from sam2nb.predict.video.search import (
    LOOK_AROUND_EVERY,
    MOST_REGIONS,
    believe_frame,
    choose_looks,
    choose_region,
    forgettable_looks,
    group_regions,
    is_cut_off,
    must_look_around,
)
from sam2nb.structures import WHOLE_FRAME

SIZE_HW = (360, 640)
REGION = (0.25, 0.2, 0.5, 0.5)


def facts(**changes) -> Facts:
    """An object that is clearly seen, in the middle of a region."""
    usual = Facts(quality=0.9, presence=5.0, area=0.01, box=(0.35, 0.3, 0.42, 0.4), region=REGION)
    return usual._replace(**changes)


ABSENT = facts(presence=-1.0, area=0.0, quality=0.0, box=(0.0,) * 4)


# --- regions ----------------------------------------------------------------------------------------------------------


def test_an_object_is_looked_for_around_its_last_mask_and_everywhere_when_it_was_not_seen():
    region = choose_region([facts()], SIZE_HW)
    assert region != WHOLE_FRAME and region[0] < 0.35 and region[2] > 0.42
    assert choose_region([ABSENT, facts()], SIZE_HW) == choose_region([], SIZE_HW) == WHOLE_FRAME
    assert choose_region([facts(box=(0.1, 0.1, 0.8, 0.9))], SIZE_HW) == WHOLE_FRAME, "a large object gains nothing"


def random_region(rng: random.Random):
    x, y = rng.random() * 0.9, rng.random() * 0.9
    return choose_region([facts(box=(x, y, x + rng.uniform(0.01, 0.1), y + rng.uniform(0.01, 0.1)))], SIZE_HW)


def contains(outer, inner) -> bool:
    pixel = 1.01 / min(SIZE_HW)
    return all(a <= b + pixel for a, b in zip(outer[:2], inner[:2], strict=True)) and all(
        a >= b - pixel for a, b in zip(outer[2:], inner[2:], strict=True)
    )


@pytest.mark.parametrize("seed", range(20))
def test_groups_of_regions_are_few_and_take_in_all(seed):
    rng = random.Random(seed)
    regions = [random_region(rng) for _ in range(rng.randint(1, 12))] + [WHOLE_FRAME] * rng.randint(0, 1)
    encoded = group_regions(regions, SIZE_HW)
    assert set(encoded) == set(regions)
    assert len(set(encoded.values()) - {WHOLE_FRAME}) <= MOST_REGIONS
    assert all(contains(outer, inner) for inner, outer in encoded.items())
    assert group_regions(list(reversed(regions)), SIZE_HW) == encoded, "the order of objects does not matter"


def test_neighbours_share_a_region_and_one_object_keeps_its_own():
    left, right = (facts(box=(x, 0.4, x + 0.05, 0.5)) for x in (0.4, 0.43))
    regions = [choose_region([one], SIZE_HW) for one in (left, right)]
    assert len(set(group_regions(regions, SIZE_HW).values())) == 1
    assert group_regions(regions[:1], SIZE_HW) == {regions[0]: regions[0]}


# --- when to look around ----------------------------------------------------------------------------------------------


def test_the_whole_frame_is_looked_at_from_time_to_time():
    due = [frame for frame in range(12) if must_look_around(frame, facts(), [facts()] * 3)]
    assert due == list(range(0, 12, LOOK_AROUND_EVERY))


@pytest.mark.parametrize(
    "now",
    [ABSENT, facts(quality=0.3), facts(area=0.03), facts(area=0.002), facts(box=(0.25, 0.3, 0.4, 0.4))],
    ids=["absent", "faint", "grown", "shrunk", "cut off"],
)
def test_the_whole_frame_is_looked_at_at_once_when_something_is_wrong(now):
    assert must_look_around(1, now, [facts()] * 3)
    assert not must_look_around(1, now._replace(region=WHOLE_FRAME), [facts()] * 3), "it was looked at already"


def test_an_object_at_the_edge_of_the_frame_is_not_cut_off():
    at_edge = facts(region=(0.0, 0.2, 0.25, 0.5), box=(0.0, 0.3, 0.1, 0.4))
    assert not is_cut_off(at_edge)
    assert is_cut_off(at_edge._replace(box=(0.1, 0.3, 0.25, 0.4)))


# --- which to believe -------------------------------------------------------------------------------------------------


def test_where_both_agree_the_finer_mask_is_kept():
    assert not believe_frame(facts(quality=1.0), facts(), 0.8, [facts()])


def test_where_they_differ_the_better_one_is_kept_and_the_frame_has_a_bonus():
    assert believe_frame(facts(quality=0.85), facts(), 0.2, [facts()])
    assert not believe_frame(facts(quality=0.5), facts(), 0.2, [facts()])


def test_presence_is_decided_in_the_whole_frame_unless_the_other_is_sure():
    assert believe_frame(ABSENT, facts(quality=0.3), 0.0, [facts()] * 3), "gone"
    assert not believe_frame(ABSENT, facts(), 0.0, [facts()] * 3), "small, but clear in the region"
    assert believe_frame(facts(), ABSENT, 0.0, [facts()] * 3), "outside of the region"
    assert not believe_frame(facts(quality=0.05), ABSENT, 0.0, [facts()] * 3), "something else"


# --- memories of the whole frame --------------------------------------------------------------------------------------


def test_looks_are_counted_instead_of_frames():
    looks = [3, 6, 9, 12, 15, 18, 21]
    choice = choose_looks(24, [0], looks, num_maskmem=7)
    assert choice.spatial == ((0, 6), (6, 5), (9, 4), (12, 3), (15, 2), (18, 1), (21, 0))
    assert choice.pointers[:2] == ((0, 24), (21, 1))


@pytest.mark.parametrize("reverse", [False, True])
def test_looks_at_every_frame_follow_the_official_rule(reverse):
    frame, others = (4, range(5, 30)) if reverse else (25, range(1, 25))
    given = {"prompted": [30 if reverse else 0], "tracked": list(others), "num_frames": 40, "reverse": reverse}
    numbered = choose_memories(frame, **given)
    assert choose_looks(frame, **given) == numbered


@pytest.mark.parametrize("seed", range(20))
def test_forgotten_looks_are_never_chosen_again(seed):
    rng = random.Random(seed)
    prompted, tracked, gone = set(), set(), set()
    for frame in range(90):
        chosen = choose_looks(frame, prompted, tracked, max_prompted=3)
        read = {other for other, _ in (*chosen.spatial, *chosen.pointers)}
        assert not read & gone
        if rng.random() < 0.6:
            (prompted if frame == 0 or rng.random() < 0.1 else tracked).add(frame)
        old = forgettable_looks(frame, prompted, tracked, max_prompted=3)
        prompted -= old[0]
        tracked -= old[1]
        gone |= old[0] | old[1]
    assert len(prompted) + len(tracked) <= 3 + 17
