"""Which frames are attended to: a rule over integers, checked by example, by property and against official code."""

import random
from types import SimpleNamespace

import pytest
import torch

from sam2nb.model.memory_bank import MemoryChoice, choose_memories, closest_prompted, forgettable

HISTORIES = 3000


def random_history(rng: random.Random):
    """A clip in which some frames are prompted, some tracked; and a frame that looks back at them."""
    num_frames = rng.randint(2, 60)
    frames = list(range(num_frames))
    prompted = rng.sample(frames, rng.randint(1, min(5, num_frames)))
    tracked = [f for f in rng.sample(frames, rng.randint(0, num_frames)) if f not in prompted]
    return rng.randrange(num_frames), prompted, tracked, num_frames, rng.random() < 0.5


def test_a_frame_sees_its_prompt_and_the_six_frames_before_it():
    choice = choose_memories(10, [0], range(1, 10))
    assert choice.spatial == ((0, 6), (4, 5), (5, 4), (6, 3), (7, 2), (8, 1), (9, 0))


def test_pointers_reach_fifteen_frames_back():
    choice = choose_memories(40, [0], range(1, 40))
    assert choice.pointers == ((0, 40), *((40 - age, age) for age in range(1, 16)))
    assert choice.pointer_span == 15


def test_prompts_in_the_future_give_maps_but_no_pointers():
    choice = choose_memories(3, [0, 8], [1, 2])
    assert {frame for frame, _ in choice.spatial} == {0, 1, 2, 8}
    assert {frame for frame, _ in choice.pointers} == {0, 1, 2}


def test_running_backwards_the_past_is_what_comes_later():
    choice = choose_memories(3, [8], [2, 4, 5], reverse=True)
    assert choice.spatial == ((8, 6), (5, 1), (4, 0))
    assert choice.pointers == ((8, 5), (4, 1), (5, 2))


def test_a_short_clip_shortens_the_time_code_and_a_stream_does_not():
    assert choose_memories(1, [0], [], num_frames=7).pointer_span == 6
    assert choose_memories(1, [0], [], num_frames=None).pointer_span == 15
    assert choose_memories(0, [0], [], num_frames=1).pointer_span == 1  # official divides by zero here


def test_a_corrected_frame_sees_itself():
    assert choose_memories(0, [0], [1, 2]).pointers == ((0, 0),)


def test_a_smaller_table_of_ages_sees_fewer_frames():
    assert choose_memories(9, [0], range(1, 9), num_maskmem=3).spatial == ((0, 2), (7, 1), (8, 0))


def test_equal_layouts_are_equal_whatever_the_order_of_prompting():
    assert choose_memories(5, [3, 0], [4, 1]) == choose_memories(5, [0, 3], [1, 4])


def test_a_limit_keeps_the_closest_prompts_on_both_sides():
    assert closest_prompted(10, [0, 8, 9, 30], 2) == (9, 30)
    assert closest_prompted(10, [0, 8, 9, 30], 3) == (8, 9, 30)
    assert closest_prompted(10, [0, 30], 2) == (0, 30)


def test_over_random_histories_the_rule_keeps_its_word():
    rng = random.Random(0)
    for _ in range(HISTORIES):
        frame, prompted, tracked, num_frames, reverse = random_history(rng)
        choice = choose_memories(frame, prompted, tracked, num_frames=num_frames, reverse=reverse)
        step = -1 if reverse else 1
        rows = dict(choice.spatial)
        assert all(rows[p] == 6 for p in prompted)
        assert all(rows[t] == (frame - t) * step - 1 for t in rows if t not in prompted)
        assert {t for t in rows if t not in prompted} == {t for t in tracked if 1 <= (frame - t) * step <= 6}
        assert all(distance == (frame - t) * step >= 0 for t, distance in choice.pointers)
        assert len({t for t, _ in choice.pointers}) == len(choice.pointers) <= len(prompted) + 15


def test_what_is_forgotten_is_never_read_again():
    rng = random.Random(1)
    for _ in range(HISTORIES):
        now, prompted, tracked, _, _ = random_history(rng)
        prompted, tracked = [p for p in prompted if p <= now], [t for t in tracked if t <= now]
        limit = rng.choice([None, 2, 3])
        old_prompted, old_tracked = forgettable(now, prompted, tracked, max_prompted=limit)
        kept = [p for p in prompted if p not in old_prompted], [t for t in tracked if t not in old_tracked]
        for later in range(now, now + 20):
            everything = choose_memories(later, prompted, tracked, max_prompted=limit)
            assert choose_memories(later, *kept, max_prompted=limit) == everything


def test_a_stream_keeps_a_bounded_number_of_memories():
    prompted, tracked = [0], []
    for now in range(1, 500):
        (prompted if now % 7 == 0 else tracked).append(now)
        old_prompted, old_tracked = forgettable(now, prompted, tracked, max_prompted=4)
        prompted = [p for p in prompted if p not in old_prompted]
        tracked = [t for t in tracked if t not in old_tracked]
        assert len(tracked) <= 16 and len(prompted) <= 4 + 16 // 7 + 1


# --- the official package, with memories that carry only the number of their frame -----------------------------------

WIDTH = 2  # channels of everything below


class Listener:
    """Takes the place of the official memory attention and notes what it is given."""

    def __call__(self, curr, curr_pos, memory, memory_pos, num_obj_ptr_tokens):
        self.memory, self.position, self.pointers = memory[:, 0, 0], memory_pos[:, 0], num_obj_ptr_tokens
        return curr[0]


def official_choice(frame, prompted, tracked, num_frames, reverse, max_prompted) -> MemoryChoice:
    from sam2.modeling.sam2_base import SAM2Base

    def memory(t):
        return {
            "maskmem_features": torch.full((1, WIDTH, 1, 1), float(t)),
            "maskmem_pos_enc": [torch.zeros(1, WIDTH, 1, 1)],
            "obj_ptr": torch.full((1, WIDTH), float(t)),
        }

    listener = Listener()
    model = SimpleNamespace(
        hidden_dim=WIDTH,
        mem_dim=WIDTH,
        num_maskmem=7,
        training=False,
        memory_temporal_stride_for_eval=1,
        max_cond_frames_in_attn=-1 if max_prompted is None else max_prompted,
        max_obj_ptrs_in_encoder=16,
        use_obj_ptrs_in_encoder=True,
        only_obj_ptrs_in_the_past_for_eval=True,
        use_signed_tpos_enc_to_obj_ptrs=True,
        add_tpos_enc_to_obj_ptrs=True,
        proj_tpos_enc_in_obj_ptrs=True,
        obj_ptr_tpos_proj=torch.nn.Identity(),
        directly_add_no_mem_embed=True,
        maskmem_tpos_enc=torch.arange(7.0).view(7, 1, 1, 1).expand(7, 1, 1, WIDTH),
        memory_attention=listener,
    )
    SAM2Base._prepare_memory_conditioned_features(
        model,
        frame_idx=frame,
        is_init_cond_frame=False,
        current_vision_feats=[torch.zeros(1, 1, WIDTH)],
        current_vision_pos_embeds=[torch.zeros(1, 1, WIDTH)],
        feat_sizes=[(1, 1)],
        output_dict={
            "cond_frame_outputs": {t: memory(t) for t in prompted},
            "non_cond_frame_outputs": {t: memory(t) for t in tracked},
        },
        num_frames=num_frames,
        track_in_reverse=reverse,
    )
    count = len(listener.memory) - listener.pointers
    spatial = [(int(t), int(p[0])) for t, p in zip(listener.memory[:count], listener.position[:count], strict=True)]
    span = min(num_frames, 16) - 1
    angles = [torch.atan2(p[0], p[1]).item() for p in listener.position[count:]]  # sine and cosine of distance / span
    return MemoryChoice(
        spatial=tuple(sorted(spatial)),
        pointers=tuple(
            sorted((int(t), round(a * span, 2)) for t, a in zip(listener.memory[count:], angles, strict=True))
        ),
        pointer_span=span,
    )


def wrapped(distance: int, span: int) -> float:
    """What remains of a distance when only its angle is known."""
    angle = torch.tensor(distance / span)
    return round(torch.atan2(angle.sin(), angle.cos()).item() * span, 2)


@pytest.mark.parity
@pytest.mark.parametrize("max_prompted", [None, 2, 3])
def test_over_random_histories_the_official_package_attends_to_the_same_frames(official, max_prompted):
    rng = random.Random(2)
    for _ in range(1000):
        frame, prompted, tracked, num_frames, reverse = random_history(rng)
        ours = choose_memories(
            frame, prompted, tracked, num_frames=num_frames, reverse=reverse, max_prompted=max_prompted
        )
        theirs = official_choice(frame, prompted, tracked, num_frames, reverse, max_prompted)
        assert tuple(sorted(ours.spatial)) == theirs.spatial
        span = ours.pointer_span
        mine = sorted((t, wrapped(d, span)) for t, d in ours.pointers)
        assert [t for t, _ in mine] == [t for t, _ in theirs.pointers]
        assert all(abs(a - b) < 0.02 for (_, a), (_, b) in zip(mine, theirs.pointers, strict=True))
