"""Checkers of notebook 04_video_tracking."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from sam2nb.evaluation.metrics import mask_iou
from sam2nb.model.memory_bank import choose_memories
from sam2nb.notebook.check import attempt, exercise
from sam2nb.notebook.show import first_line

MAX_PROMPTED_FRAMES = 2
GAIN = 0.05  # of the mean IoU, which no rounding error brings about
LOST = 0.5  # IoU below which a frame counts as lost


@exercise("04.memories")
def memories(answer: Any) -> str | None:
    """The frames whose spatial memory a frame attends to, tracking forwards."""
    for frame, prompted, tracked in _cases():
        expected = {other for other, _ in choose_memories(frame, prompted, tracked).spatial}
        given = set(attempt(answer, frame, set(prompted), set(tracked)))
        if given != expected:
            missing, extra = sorted(expected - given), sorted(given - expected)
            case = f"frame {frame} with prompted {sorted(prompted)} and tracked {sorted(tracked)}"
            return f"{case}: missing {missing}, too many {extra}"
    return None


def _cases() -> Iterator[tuple[int, set[int], set[int]]]:
    """A frame to track, the prompted frames and the tracked ones: plain cases first, so that they are told first."""
    yield 9, {0}, set(range(1, 9))  # old frames drop out
    yield 9, {0}, {1, 2, 3, 5, 8}  # a gap is not filled
    yield 5, {0, 8}, {1, 2, 3, 4}  # a prompt in the future
    yield 5, {0}, {1, 2, 3, 4, 6, 7}  # tracked frames in the future
    rng = random.Random(0)
    for _ in range(200):
        frame = rng.randrange(2, 40)
        prompted = set(rng.sample([f for f in range(40) if f != frame], rng.randint(1, 3)))
        yield frame, prompted, {f for f in range(40) if f != frame and rng.random() < 0.8} - prompted


@exercise("04.label_map")
def label_map(answer: Any) -> str | None:
    """(N, H, W) logits -> (H, W): the number of the object with the highest logit, from 1; 0 where none is positive."""
    logits = np.random.default_rng(0).normal(size=(3, 6, 7)).round(2)
    logits[:, 0, 0] = 0.0, -1.0, -2.0  # zero is not positive
    expected = np.where(logits.max(axis=0) > 0, logits.argmax(axis=0) + 1, 0)
    given = np.asarray(attempt(answer, logits.copy()))
    if given.shape != expected.shape:
        return f"for logits of shape {logits.shape} the map should be {expected.shape}, yours is {given.shape}"
    wrong = np.argwhere(given != expected)
    if len(wrong) == 0:
        return None
    row, col = wrong[0]
    pixel = f"a pixel with logits {logits[:, row, col].tolist()} should be {expected[row, col]}"
    return f"{pixel}, yours is {given[row, col]}; {len(wrong)} of {expected.size} pixels differ"


@exercise("04.prompts")
def prompts(answer: Any, predictor: Any, frames: list, truth: list, baseline: float) -> str | None:
    """Prompts on at most two frames whose tracking beats a box on the first frame, by GAIN at least."""
    problem = _form_of_prompts(answer, len(frames))
    if problem:
        return problem
    session = predictor.init_state(frames)
    for frame, prompt in answer.items():
        try:
            predictor.add_new_points_or_box(session, frame, 1, **prompt)
        except (TypeError, ValueError) as error:
            return f"add_new_points_or_box does not take the prompt of frame {frame}: {first_line(error)}"
    results = list(predictor.propagate_in_video(session, start_frame_idx=0))
    ious = {r.frame_idx: mask_iou(r.masks[0, 0].cpu().numpy() > 0, truth[r.frame_idx]) for r in results}
    mean, wanted = float(np.mean(list(ious.values()))), baseline + GAIN
    if mean >= wanted:
        return None
    lost = [frame for frame, iou in sorted(ious.items()) if iou < LOST]
    text = f"the mean IoU is {mean:.3f}; one box has {baseline:.3f}, reach {wanted:.3f}"
    return f"{text}. Below {LOST:g} on frames {', '.join(map(str, lost))}" if lost else text


def _form_of_prompts(answer: Any, count: int) -> str | None:
    if not isinstance(answer, dict) or not all(isinstance(prompt, dict) for prompt in answer.values()):
        return "answer with a dict: frame number -> dict of arguments for add_new_points_or_box"
    if not 1 <= len(answer) <= MAX_PROMPTED_FRAMES:
        return f"prompt one or two frames, not {len(answer)}"
    outside = [frame for frame in answer if frame not in range(count)]
    return f"the clip has frames 0 to {count - 1}, not {outside[0]!r}" if outside else None
