"""Checkers of notebook 07_inside_sam2."""

from __future__ import annotations

from typing import Any

import numpy as np

from sam2nb.model.memory_bank import choose_memories
from sam2nb.notebook.check import attempt, exercise


@exercise("07.spatial_memories")
def spatial_memories(answer: Any) -> str | None:
    """The frames that frame 25 attends to, prompted on frame 0 and tracked up to frame 24."""
    expected = {frame for frame, _ in choose_memories(25, [0], range(1, 25), num_frames=30).spatial}
    given = {int(frame) for frame in np.asarray(answer).reshape(-1)}
    if given == expected:
        return None
    missing, extra = sorted(expected - given), sorted(given - expected)
    parts = [f"{len(missing)} missing" if missing else "", f"too many: {extra}" if extra else ""]
    rule = "frame 25 attends to all prompted frames and the last six tracked ones"
    return f"{', '.join(part for part in parts if part)}; {rule}"


@exercise("07.mask_product")
def mask_product(answer: Any) -> str | None:
    """The sum over the channels of filter times upscaled image."""
    generator = np.random.default_rng(0)
    filters, upscaled = generator.normal(size=5), generator.normal(size=(5, 3, 4))
    result = np.asarray(attempt(answer, filters, upscaled))
    if result.shape != (3, 4):
        return f"for 5 channels and a 3x4 image the result should be (3, 4), yours is {result.shape}"
    correct = np.allclose(result, np.einsum("c,chw->hw", filters, upscaled))
    return None if correct else "the shape is right, the numbers are not"


@exercise("07.shares")
def attention_weights(answer: Any) -> str | None:
    """Scaled dot products, then a softmax over the keys."""
    generator = np.random.default_rng(0)
    queries, keys = generator.normal(size=(3, 16)), generator.normal(size=(5, 16))
    result = np.asarray(attempt(answer, queries, keys))
    if result.shape != (3, 5):
        return f"for 3 queries and 5 keys the result should be (3, 5), yours is {result.shape}"
    if not np.allclose(result.sum(axis=1), 1):
        return f"every row should sum to 1, yours sum to {result.sum(axis=1).round(2).tolist()}"
    weights = np.exp(queries @ keys.T / 4)
    correct = np.allclose(result, weights / weights.sum(axis=1, keepdims=True))
    return None if correct else "rows sum to 1, but the numbers differ; divide by the square root of c"
