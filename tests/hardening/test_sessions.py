"""Random work on a video session, against a model that is simple enough to be right."""

import copy
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.hardening.cases import FRAME_HW, FRAMES, clip

OBJECTS = st.sampled_from([1, 2, "cat"])
INDICES = st.integers(0, FRAMES - 1)
HEIGHT, WIDTH = FRAME_HW
POINTS = st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1))


class SessionMachine(RuleBasedStateMachine):
    """The model is `prompted`: for each object, in order of arrival, the frames with a prompt."""

    predictor = None  # set by the test

    @initialize()
    def open(self):
        self.session = self.predictor.init_state(clip())
        self.prompted: dict[object, set[int]] = {}

    def note(self, frame, obj_id, result):
        self.prompted.setdefault(obj_id, set()).add(frame)
        self.check(result, frame)
        assert torch.isfinite(result.quality[self.session.obj_ids.index(obj_id)])

    def check(self, result, frame):
        assert result.frame_idx == frame and result.obj_ids == list(self.prompted)
        assert result.masks.shape == (len(self.prompted), 1, *FRAME_HW) and result.masks.isfinite().all()

    @rule(frame=INDICES, obj_id=OBJECTS, point=POINTS, label=st.sampled_from([0, 1]), join=st.booleans())
    def click(self, frame, obj_id, point, label, join):
        result = self.predictor.add_new_points_or_box(
            self.session, frame, obj_id, [point], [label], clear_old_points=not join
        )
        self.note(frame, obj_id, result)

    @rule(frame=INDICES, obj_id=OBJECTS, corner=POINTS)
    def box(self, frame, obj_id, corner):
        x, y = corner
        self.note(
            frame, obj_id, self.predictor.add_new_points_or_box(self.session, frame, obj_id, box=[x, y, x + 9, y + 9])
        )

    @rule(frame=INDICES, obj_id=OBJECTS, rows=st.integers(0, HEIGHT))
    def mask(self, frame, obj_id, rows):
        inside = np.zeros(FRAME_HW, bool)
        inside[:rows] = True
        self.note(frame, obj_id, self.predictor.add_new_mask(self.session, frame, obj_id, inside))

    @rule(start=st.none() | INDICES, count=st.none() | st.integers(0, 3), reverse=st.booleans(), leave=st.booleans())
    def propagate(self, start, count, reverse, leave):
        results = self.predictor.propagate_in_video(self.session, start, count, reverse)
        if not self.prompted or not all(self.prompted.values()):
            with pytest.raises(RuntimeError, match="nothing to track|has no prompt on any frame"):
                next(results)
            return
        first = min(set.union(*self.prompted.values())) if start is None else start
        last = FRAMES if count is None else count
        expected = (
            range(first, max(first - last, 0) - 1, -1) if reverse else range(first, min(first + last, FRAMES - 1) + 1)
        )
        if reverse and first == 0:
            expected = []
        for frame, result in zip(expected, results, strict=False):
            self.check(result, frame)
            if leave:
                results.close()
                return
        assert next(results, None) is None

    @rule(frame=INDICES, obj_id=OBJECTS)
    def clear(self, frame, obj_id):
        if obj_id not in self.prompted:
            with pytest.raises(ValueError, match="is unknown"):
                self.predictor.clear_all_prompts_in_frame(self.session, frame, obj_id)
            return
        result = self.predictor.clear_all_prompts_in_frame(self.session, frame, obj_id)
        self.prompted[obj_id].discard(frame)
        self.check(result, frame)

    @rule(obj_id=OBJECTS)
    def remove(self, obj_id):
        self.prompted.pop(obj_id, None)
        left, changed = self.predictor.remove_object(self.session, obj_id)
        assert left == list(self.prompted) and all(len(masks) == len(left) for _, masks in changed)

    @rule()
    def reset(self):
        self.predictor.reset_state(self.session)
        self.prompted.clear()

    @precondition(lambda self: self.prompted)
    @rule()
    def save_and_load(self):
        with tempfile.TemporaryDirectory() as folder:
            file = self.predictor.save_session(self.session, Path(folder) / "work")
            self.take_over(self.predictor.load_session(file, clip()))

    @rule()
    def copy(self):
        self.take_over(copy.deepcopy(self.session))

    def take_over(self, other):
        """Go on with another session, which shows the same masks on every frame."""
        for frame in range(FRAMES):
            old, new = (self.predictor.tracker.result(session, frame) for session in (self.session, other))
            assert torch.equal(old.masks, new.masks) and old.obj_ids == new.obj_ids
        self.session = other

    @rule(frame=st.sampled_from([-1, FRAMES, 0.5, None]), obj_id=OBJECTS)
    def refuse_a_frame(self, frame, obj_id):
        with pytest.raises((TypeError, ValueError), match="frame_idx must be"):
            self.predictor.add_new_points_or_box(self.session, frame, obj_id, [[1, 1]], [1])

    @rule(frame=INDICES, obj_id=OBJECTS, value=st.sampled_from([float("nan"), 1e30, "a"]))
    def refuse_a_prompt(self, frame, obj_id, value):
        with pytest.raises(ValueError, match="point_coords"):
            self.predictor.add_new_points_or_box(self.session, frame, obj_id, [[value, 1]], [1])

    @invariant()
    def objects_and_prompts_are_those_of_the_model(self):
        assert self.session.obj_ids == list(self.prompted)
        assert {i: set(track.prompts) for i, track in self.session.objects.items()} == self.prompted
        for track in self.session.objects.values():
            assert set(track.pending) | set(track.bank.prompted) == set(track.prompts)
            assert not set(track.bank.prompted) & set(track.bank.tracked)

    def teardown(self):
        """After all this, the session does what a new one does."""
        self.predictor.reset_state(self.session)
        fresh = self.predictor.init_state(clip())
        for session in (self.session, fresh):
            self.predictor.add_new_points_or_box(session, 1, 1, [[20, 20]], [1])
        pairs = zip(*map(self.predictor.propagate_in_video, (self.session, fresh)), strict=True)
        assert all(torch.equal(one.masks, other.masks) for one, other in pairs)


@pytest.mark.parametrize("memory", ["official", "match"])
def test_a_session_does_what_its_model_says(nano, memory):
    from sam2nb import SAM2VideoPredictor

    SessionMachine.predictor = SAM2VideoPredictor(nano, memory=memory, closer=memory == "official", progress=False)
    profile = settings()
    run_state_machine_as_test(
        SessionMachine,
        settings=settings(profile, max_examples=max(profile.max_examples // 4, 1), stateful_step_count=14),
    )
