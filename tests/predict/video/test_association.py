"""Association: identities over random sequences of masks, and the rules one by one."""

from itertools import count

import numpy as np
import pytest

from sam2nb.masks.rle import Rle, rle_from_mask
from sam2nb.predict.video.association import Identities, distinct, match, unlike, use_once
from tests.mask_cases import rectangle

SIZE_HW = (24, 32)
FRAMES = 60


def box(*xyxy: int) -> Rle:
    return rle_from_mask(rectangle(SIZE_HW, *xyxy))


A, ALIKE, B, C = box(0, 0, 10, 10), box(0, 0, 10, 8), box(12, 0, 22, 10), box(12, 12, 22, 22)


def identities(max_objects: int = 8, rest_after: int = 3, ids=None) -> Identities:
    return Identities(max_objects, rest_after, use_once(ids))


def random_masks(rng: np.random.Generator, most: int) -> list[Rle]:
    corners = rng.integers(0, (SIZE_HW[1] - 8, SIZE_HW[0] - 8), (rng.integers(0, most + 1), 2))
    sides = rng.integers(2, 9, (len(corners), 2))
    return [box(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides, strict=True)]


def random_subset(rng: np.random.Generator, ids) -> list[int]:
    return [obj_id for obj_id in ids if rng.random() < 0.6]


@pytest.mark.parametrize("seed", range(20))
def test_ids_are_unique_never_used_again_and_live_objects_bounded(seed):
    rng = np.random.default_rng(seed)
    max_objects, rest_after = int(rng.integers(1, 7)), int(rng.integers(1, 6))
    known = identities(max_objects, rest_after)
    born: set[int] = set()
    gone: set[int] = set()
    absent_for: dict[int, int] = {}
    for frame in range(FRAMES):
        lost = known.rest(frame)
        assert set(lost) == {i for i, frames in absent_for.items() if frames >= rest_after}
        visible = {obj_id: rng.random() < 0.6 for obj_id in known.tracked}
        places = random_masks(rng, 30) or [A]
        known.note(frame, visible, lambda obj_id, places=places: places[obj_id % len(places)])
        absent_for = {i: 0 if visible[i] else absent_for.get(i, 0) + 1 for i in visible}
        before = {*known.tracked, *known.resting}
        if frame % 3 == 0:
            found = random_masks(rng, 6)
            seen = {i: mask for i, mask in zip(visible, random_masks(rng, 8), strict=False) if visible[i]}
            recalled = dict(zip(random_subset(rng, known.resting), random_masks(rng, 6), strict=False))
            prompts, forgotten = known.meet(found, seen, recalled)
            new = set(prompts) - before
            assert not new & born, "an id was used again"
            assert not set(prompts) & gone and not set(prompts) & set(seen)
            used = {id(mask) for mask in prompts.values()}
            assert len(used) == len(prompts) and used <= set(map(id, found))
            assert len(unlike(list(prompts.values()), list(seen.values()))) == len(prompts)
            assert set(forgotten) == before - {*known.tracked, *known.resting}
            born, gone = born | new, gone | set(forgotten)
            absent_for |= dict.fromkeys(prompts, 0)
        assert not set(known.tracked) & set(known.resting)
        assert len(known.tracked) + len(known.resting) <= max_objects
    assert born == set(range(1, len(born) + 1))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_pairing_has_a_higher_sum_of_iou(seed):
    rng = np.random.default_rng(seed)
    objects = dict(enumerate(random_masks(rng, 20)))
    masks = [*random_masks(rng, 10), *list(objects.values())[::2]]
    pairs, left = match(masks, objects)
    assert len(pairs) + len(left) == len(masks) and set(pairs) <= set(objects)
    assert all(unlike([mask], [objects[obj_id]]) == [] for obj_id, mask in pairs.items())
    free = {i: mask for i, mask in objects.items() if i not in pairs}
    assert len(unlike(left, list(free.values()))) == len(left), "a pair that could be added is missing"


def test_the_best_pairing_is_not_always_the_greedy_one():
    longest, long = box(0, 0, 18, 4), box(4, 0, 20, 4)
    objects = {"row": box(0, 0, 20, 4), "half": box(0, 0, 10, 4)}
    assert match([longest, long], objects) == ({"row": long, "half": longest}, []), "greedy: row is the longest's"


def test_masks_of_visible_objects_and_worse_doubles_are_no_new_objects():
    known = identities()
    assert known.meet([A, B, ALIKE], {}, {}).prompts == {1: A, 2: B}
    assert known.meet([ALIKE, B, C], {1: A, 2: B}, {}).prompts == {3: C}
    assert distinct([ALIKE, A, B]) == [ALIKE, B] and distinct([]) == []


def test_a_lost_object_returns_where_its_memory_or_its_place_says():
    known = identities(rest_after=2)
    known.meet([A, B], {}, {})
    known.note(1, {1: False, 2: False}, {1: A, 2: B}.get)
    known.note(2, {1: False, 2: False}, {1: C, 2: C}.get)
    assert known.resting == {} and known.rest(3) == [1, 2]
    # 1 is recalled elsewhere, and the mask at its old place is then somebody new
    assert known.meet([A, C], {}, {1: C}).prompts == {1: C, 3: A}
    assert list(known.resting) == [2] and known.tracked == {1: None, 3: None}
    assert known.meet([A, B, C], {1: C, 3: A}, {}).prompts == {2: B}


def test_an_object_that_is_seen_again_does_not_rest():
    known = identities(rest_after=2)
    known.meet([A], {}, {})
    for frame, is_visible in enumerate((False, True, False), start=1):
        known.note(frame, {1: is_visible}, {1: A}.get)
        assert known.rest(frame + 1) == []
    assert known.rest(5) == [1]


def test_the_longest_resting_object_makes_room_for_a_new_one():
    known = identities(max_objects=2, rest_after=1)
    known.meet([A, B], {}, {})
    known.note(1, {1: False, 2: True}, {1: A}.get)
    assert known.rest(2) == [1]
    meeting = known.meet([C], {2: B}, {})
    assert meeting.prompts == {3: C} and meeting.forgotten == [1] and known.resting == {}
    assert known.meet([A], {2: B, 3: C}, {}).prompts == {}, "full, and nobody rests"


def test_objects_that_the_caller_removed_are_dropped():
    known = identities(max_objects=1)
    known.meet([A], {}, {})
    known.keep([])
    assert known.meet([A], {}, {}).prompts == {2: A}


def test_where_the_ids_end_no_more_objects_join():
    known = identities(ids=["left", "right"])
    assert known.meet([A, B, C], {}, {}).prompts == {"left": A, "right": B}


def test_an_id_that_comes_twice_is_named():
    with pytest.raises(ValueError, match="ids must all be different, 7 came twice"):
        list(use_once([7, 8, 7]))
    assert next(use_once(count(5))) == 5
