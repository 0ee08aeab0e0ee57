"""Properties of the memory policies over random histories, and the rules of each."""

import random

import pytest

from sam2nb.model.memory_bank import MAX_POINTERS, NUM_MASKMEM, choose_memories
from sam2nb.predict.video.facts import Facts
from sam2nb.predict.video.policies import (
    HISTORY,
    MAX_ANCHORS,
    POLICIES,
    REACH,
    Anchored,
    Official,
    Steady,
    choose_policy,
    is_anchor,
    is_mistaken,
    latest,
)

SEEDS = range(25)


def facts(quality: float = 0.9, presence: float = 5.0, **changes) -> Facts:
    return Facts(quality, presence, area=0.02 if presence > 0 else 0.0)._replace(**changes)


def random_facts(rng: random.Random) -> Facts:
    return facts(rng.random(), rng.choice([5.0, 5.0, -1.0]), doubt=rng.random())


def random_history(policy, seed: int, length: int = 70):
    """Frames that were prompted and tracked, and their facts, as tracking fills them in."""
    rng = random.Random(seed)
    prompted, known = {0}, {0: facts()}
    for frame in range(1, length):
        known[frame] = policy.judge(frame, random_facts(rng), known, False)
        if rng.random() < 0.05:
            prompted.add(frame)
    return prompted, set(known) - prompted, known


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", POLICIES)
def test_a_choice_is_bounded_ordered_and_of_frames_that_exist(name, seed):
    policy = choose_policy(name)
    prompted, tracked, known = random_history(policy, seed)
    frame, limit = 70, random.Random(seed).choice([None, 2, 4])
    choice = policy.choose(frame, prompted, tracked, known, num_frames=200, max_prompted=limit)
    frames = [other for other, _ in choice.spatial]
    assert len(set(frames)) == len(frames) and set(frames) <= prompted | tracked
    lasting = [other for other, row in choice.spatial if row == NUM_MASKMEM - 1]
    assert len(frames) - len(lasting) <= NUM_MASKMEM - 1
    assert len(lasting) <= len(prompted) + MAX_ANCHORS
    rows = [row for _, row in choice.spatial[len(lasting) :]]
    assert rows == sorted(rows, reverse=True), "the oldest first, as the temporal rows are"
    assert set(prompted) <= set(frames) or limit is not None


@pytest.mark.parametrize("seed", SEEDS)
def test_the_official_policy_is_the_official_rule(seed):
    prompted, tracked, known = random_history(Official(), seed)
    assert Official().choose(50, prompted, tracked, known, num_frames=90, shot_start=44) == choose_memories(
        50, prompted, tracked, num_frames=90
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_steady_follows_the_official_rule_where_every_frame_is_clear(seed):
    rng = random.Random(seed)
    tracked = set(range(1, rng.randint(2, 40)))
    known = {frame: facts() for frame in (0, *tracked)}
    frame = max(tracked) + 1
    assert Steady().choose(frame, {0}, tracked, known) == choose_memories(frame, {0}, tracked)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", POLICIES)
def test_what_a_stream_forgets_is_never_chosen_again(name, seed):
    """With corrections on the current frame and scene cuts."""
    rng, policy = random.Random(seed), choose_policy(name)
    prompted, tracked, known, gone, sizes, cut = {0}, set(), {0: facts()}, set(), [], None

    def read(frame: int) -> set[int]:
        choice = policy.choose(frame, prompted, tracked, known, max_prompted=4, shot_start=cut)
        return {other for other, _ in (*choice.spatial, *choice.pointers)}

    for frame in range(1, 120):
        if rng.random() < 0.04:
            cut = frame
        assert not read(frame) & gone
        known[frame] = policy.judge(frame, random_facts(rng), known, False)
        tracked.add(frame)
        old = policy.forgettable(frame, prompted, tracked, known, max_prompted=4, shot_start=cut)
        prompted -= old[0]
        tracked -= old[1]
        gone |= old[0] | old[1]
        for forgotten in [other for other in known if other < frame - HISTORY and other not in prompted | tracked]:
            del known[forgotten]
        if rng.random() < 0.05:  # a correction reads the past once more
            assert not read(frame) & gone
            tracked.discard(frame)
            prompted.add(frame)
        sizes.append(len(prompted) + len(tracked))
    assert max(sizes) <= 4 + MAX_POINTERS + NUM_MASKMEM + MAX_ANCHORS + REACH


# --- rules ------------------------------------------------------------------------------------------------------------


def test_a_mask_that_the_model_hardly_believes_in_is_another_thing():
    before = [facts(0.8)] * 5
    assert is_mistaken(facts(0.1), before) and not is_mistaken(facts(0.3), before)
    assert not is_mistaken(facts(0.1, presence=-1.0), before), "absent anyway"
    assert not is_mistaken(facts(0.1), []), "nothing to compare with"


def test_thresholds_are_shares_so_that_rough_estimates_serve():
    low = [facts(0.08)] * 5
    assert is_mistaken(facts(0.01), low) and not is_mistaken(facts(0.03), low)


def test_what_was_refused_stays_refused_at_its_place():
    here, there = (0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.8, 0.8)
    seen = [facts(0.8, box=here)] * 5
    other = facts(0.05, box=there).as_mistaken()
    assert is_mistaken(facts(0.9, box=there), [other, *seen]), "however sure"
    assert not is_mistaken(facts(0.9, box=here), [other, *seen]), "elsewhere"
    hidden = facts(0.05, box=here).as_mistaken()
    assert is_mistaken(facts(0.4, box=here), [hidden, *seen])
    assert not is_mistaken(facts(0.7, box=here), [hidden, *seen]), "it comes out from behind where it was seen last"


def test_steady_passes_over_what_is_another_thing_and_shows_the_object_as_absent():
    known = {frame: facts(0.8) for frame in range(5)}
    judged = Steady().judge(5, facts(0.05), known, reverse=False)
    assert judged.mistaken and not judged.visible and not judged.clear
    known[5] = judged
    known[6] = Steady().judge(6, facts(0.8), known, reverse=False)
    assert known[6].clear
    assert 5 not in [frame for frame, _ in Steady().choose(7, {0}, set(range(1, 7)), known).spatial]


def test_an_anchor_is_clear_of_usual_size_and_beside_a_distractor():
    before = [facts(0.8) for _ in range(8)]
    good = facts(0.9, doubt=0.5)
    assert is_anchor(good, before)
    for other in (facts(0.9), facts(0.7, doubt=0.5), good._replace(area=0.05), good._replace(clear=False)):
        assert not is_anchor(other, before)
    assert not is_anchor(good, [before[0]._replace(anchor=True), *before]), "too close to another"


def test_anchors_are_attended_to_like_prompted_frames():
    known = {frame: facts(anchor=frame in (3, 9)) for frame in range(30)}
    choice = Anchored().choose(30, {0}, set(range(1, 30)), known)
    assert [frame for frame, row in choice.spatial if row == NUM_MASKMEM - 1] == [0, 3, 9]


def test_after_a_cut_the_memories_of_the_shot_before_are_spread():
    clear = list(range(1, 40))
    assert latest(40, clear, 6) == [39, 38, 37, 36, 35, 34]
    assert latest(40, clear, 6, shot_start=40) == [39, 36, 33, 31, 28, 25]
    assert latest(42, [*clear, 40, 41], 6, shot_start=40)[:2] == [41, 40]
    assert latest(50, list(range(1, 50)), 6, shot_start=40) == [49, 48, 47, 46, 45, 44], "the cut is long ago"
    assert latest(19, list(range(20, 60)), 6, reverse=True, shot_start=19)[0] == 20
