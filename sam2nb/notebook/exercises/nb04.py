"""Checkers of notebook 04_video_tracking."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from sam2nb.evaluation.metrics import mask_iou
from sam2nb.model.memory_bank import choose_memories
from sam2nb.notebook.check import attempt, exercise

MAX_PROMPTED_FRAMES = 2
GAIN = 0.05  # of the mean IoU, which no rounding error brings about


@exercise("04.memories")
def memories(answer: Any) -> str | None:
    """The frames whose spatial memory a frame attends to, tracking forwards."""
    rng = random.Random(0)
    for _ in range(200):
        frame = rng.randrange(2, 40)
        prompted = set(rng.sample(range(40), rng.randint(1, 3)))
        tracked = {f for f in range(frame) if rng.random() < 0.8} - prompted
        expected = {other for other, _ in choose_memories(frame, prompted, tracked).spatial}
        given = set(attempt(answer, frame, set(prompted), set(tracked)))
        if given != expected:
            missing, extra = sorted(expected - given), sorted(given - expected)
            return f"for frame {frame} with prompts on {sorted(prompted)}, missing: {missing}, too many: {extra}"
    return None


@exercise("04.label_map")
def label_map(answer: Any) -> str | None:
    """(N, H, W) logits -> (H, W): the number of the object with the highest logit, from 1; 0 where none is positive."""
    logits = np.random.default_rng(0).normal(size=(3, 6, 7))
    expected = np.where(logits.max(axis=0) > 0, logits.argmax(axis=0) + 1, 0)
    given = np.asarray(attempt(answer, logits.copy()))
    if given.shape != expected.shape:
        return f"for logits of shape {logits.shape} the map should be {expected.shape}, yours is {given.shape}"
    wrong = int((given != expected).sum())
    return None if wrong == 0 else f"{wrong} of {expected.size} pixels differ"


@exercise("04.prompts")
def prompts(answer: Any, predictor: Any, frames: list, truth: list, baseline: float) -> str | None:
    """Prompts on at most two frames whose tracking beats a box on the first frame, by GAIN at least."""
    if not isinstance(answer, dict) or not all(isinstance(prompt, dict) for prompt in answer.values()):
        return "answer with a dict: frame number -> dict of arguments for add_new_points_or_box"
    if not 1 <= len(answer) <= MAX_PROMPTED_FRAMES:
        return f"prompt one or two frames, not {len(answer)}"
    session = predictor.init_state(frames)
    for frame, prompt in answer.items():
        predictor.add_new_points_or_box(session, frame, 1, **prompt)
    results = list(predictor.propagate_in_video(session, start_frame_idx=0))
    mean = float(np.mean([mask_iou(r.masks[0, 0].cpu().numpy() > 0, truth[r.frame_idx]) for r in results]))
    wanted = baseline + GAIN
    return None if mean >= wanted else f"the mean IoU is {mean:.3f}; one box has {baseline:.3f}, reach {wanted:.3f}"
