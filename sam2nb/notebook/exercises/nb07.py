"""Checkers of notebook 07_inside_sam2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from sam2nb.model.attention import attend
from sam2nb.model.memory_bank import choose_memories
from sam2nb.notebook.check import attempt, exercise


def _tokens(seed: int, *shapes: tuple[int, int]) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.normal(size=shape) for shape in shapes]


@exercise("07.scores")
def scores(answer: Any) -> str | None:
    """Dot products of queries and keys, divided by the square root of their length."""
    queries, keys = _tokens(3, (3, 16), (5, 16))
    result = np.asarray(attempt(answer, queries, keys))
    products = queries @ keys.T
    if result.shape == (5, 3) and np.allclose(result, products.T / 4):
        return "the numbers are right, but transposed: one row for each query, one column for each key"
    if result.shape != (3, 5):
        return f"for 3 queries and 5 keys the result should be (3, 5), yours is {result.shape}"
    if np.allclose(result, products):
        return "these are the dot products; now divide by the square root of c"
    return None if np.allclose(result, products / 4) else "the shape is right, the numbers are not"


@exercise("07.shares")
def shares(answer: Any) -> str | None:
    """Scaled dot products, then a softmax over the keys."""
    queries, keys = _tokens(0, (3, 16), (5, 16))
    result = np.asarray(attempt(answer, queries, keys))
    if result.shape != (3, 5):
        return f"for 3 queries and 5 keys the result should be (3, 5), yours is {result.shape}"
    if not np.allclose(result.sum(axis=1), 1):
        return f"every row should sum to 1, yours sum to {result.sum(axis=1).round(2).tolist()}"
    weights = np.exp(queries @ keys.T / 4)
    correct = np.allclose(result, weights / weights.sum(axis=1, keepdims=True))
    return None if correct else "rows sum to 1, but the numbers differ; divide by the square root of c"


@exercise("07.attention")
def attention(answer: Any) -> str | None:
    """Attention of one head, compared with the function that the model itself calls."""
    queries, keys, values = _tokens(1, (4, 8), (6, 8), (6, 5))
    result = np.asarray(attempt(answer, queries, keys, values))
    if result.shape != (4, 5):
        return f"for 4 queries and 6 values of 5 numbers the result should be (4, 5), yours is {result.shape}"
    expected = attend(*(torch.tensor(tokens)[None, None] for tokens in (queries, keys, values)))[0, 0].numpy()
    difference = float(np.abs(result - expected).max())
    return None if difference < 1e-6 else f"the model's own function gives other numbers, by up to {difference:.2f}"


@exercise("07.spatial_memories")
def spatial_memories(answer: Any) -> str | None:
    """The frames that frame 25 attends to, prompted on frame 0 and tracked up to frame 24; any collection of them."""
    expected = {frame for frame, _ in choose_memories(25, [0], range(1, 25), num_frames=30).spatial}
    frames = list(answer) if isinstance(answer, Iterable) and not isinstance(answer, np.ndarray) else answer
    given = {int(frame) for frame in np.asarray(frames).reshape(-1)}
    if given == expected:
        return None
    missing, extra = sorted(expected - given), sorted(given - expected)
    parts = [f"{len(missing)} missing" if missing else "", f"too many: {extra}" if extra else ""]
    return ", ".join(part for part in parts if part)


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
