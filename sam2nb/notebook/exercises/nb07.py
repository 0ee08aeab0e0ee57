"""Checkers of notebook 07_inside_sam2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from sam2nb.model.attention import attend
from sam2nb.model.memory_bank import choose_memories
from sam2nb.notebook.check import WrongKind, attempt, exercise
from sam2nb.notebook.show import first_line

AXIS_OF_SUMS = (
    "numpy cannot combine these arrays ({problem}). If you divide by the sum of every row, keep its axis: "
    ".sum(axis=1, keepdims=True)"
)
AXES_OF_FILTER = (
    "numpy pairs the filter with the last axis of the image; its channels are the first axis. Give the filter two more "
    "axes, filters[:, None, None], or use np.einsum"
)


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
    if np.allclose(result, products / 16):
        return "divided by c; it should be the square root of c"
    return None if np.allclose(result, products / 4) else "the shape is right, the numbers are not"


@exercise("07.shares")
def shares(answer: Any) -> str | None:
    """Scaled dot products, then a softmax over the keys."""
    queries, keys = _tokens(0, (3, 16), (5, 16))
    result = np.asarray(_attempt_with_advice(AXIS_OF_SUMS, answer, queries, keys))
    if result.shape != (3, 5):
        return f"for 3 queries and 5 keys the result should be (3, 5), yours is {result.shape}"
    products = queries @ keys.T
    expected, scaled = _softmax(products / 4), products / 4
    if np.allclose(result, expected):
        return None
    if np.allclose(result.sum(axis=0), 1):
        return "every column sums to 1; it is the rows, one for each query, that should (axis=1)"
    if not np.allclose(result.sum(axis=1), 1):
        return f"every row should sum to 1, yours sum to {result.sum(axis=1).round(2).tolist()}"
    if (result < 0).any():
        return "rows sum to 1, but some shares are negative: take `np.exp` of the scores before you divide by the sum"
    for wrong, reason in (
        (_softmax(products), "divide the scores by the square root of c before `np.exp`"),
        (_softmax(products / 16), "the scores are divided by c; divide by its square root"),
        (_softmax(10 * scaled), "leave out the factor 10: it was only for the colours"),
        (_softmax(10 * products), "leave out the factor 10, and divide the scores by the square root of c"),
    ):
        if np.allclose(result, wrong):
            return f"rows sum to 1, but the shares differ: {reason}"
    return "rows sum to 1, but the shares are not `np.exp` of the scores, divided by the sum of their row"


@exercise("07.attention")
def attention(answer: Any) -> str | None:
    """Attention of one head, compared with the function that the model itself calls."""
    queries, keys, values = _tokens(1, (4, 8), (6, 8), (6, 5))
    result = np.asarray(_attempt_with_advice(AXIS_OF_SUMS, answer, queries, keys, values))
    if result.shape != (4, 5):
        return f"for 4 queries and 6 values of 5 numbers the result should be (4, 5), yours is {result.shape}"
    expected = attend(*(torch.tensor(tokens)[None, None] for tokens in (queries, keys, values)))[0, 0].numpy()
    if np.abs(result - expected).max() < 1e-6:
        return None
    products = queries @ keys.T
    for wrong, reason in (
        (products, "these are scores times values: the softmax and the square root of c are missing"),
        (products / 8**0.5, "these are scores times values: turn the scores into shares first"),
        (_softmax(products), "the shares are those of undivided scores: divide by the square root of c"),
    ):
        if np.allclose(result, wrong @ values):
            return reason
    difference = float(np.abs(result - expected).max())
    return f"the model's own function gives other numbers, by up to {difference:.2f}; does `check` accept your shares?"


@exercise("07.spatial_memories")
def spatial_memories(answer: Any) -> str | None:
    """The frames that frame 25 attends to, prompted on frame 0 and tracked up to frame 24; any collection of them."""
    expected = {frame for frame, _ in choose_memories(25, [0], range(1, 25), num_frames=30).spatial}
    frames = list(answer) if isinstance(answer, Iterable) and not isinstance(answer, np.ndarray) else answer
    numbers = np.asarray(frames).reshape(-1)
    if numbers.dtype.kind not in "iuf":
        raise WrongKind(f"answer with frame numbers, such as [3, 4], not {answer!r}")
    given = {int(frame) for frame in numbers}
    if given == expected:
        return None
    missing, extra = sorted(expected - given), sorted(given - expected)
    parts = [f"{len(missing)} missing" if missing else "", f"too many: {extra}" if extra else ""]
    if given == {0, 21, 22, 23, 24}:
        parts.append("the small models of this page read four tracked frames, the full model reads six")
    return ", ".join(part for part in parts if part)


@exercise("07.mask_product")
def mask_product(answer: Any) -> str | None:
    """The sum over the channels of filter times upscaled image."""
    generator = np.random.default_rng(0)
    filters, upscaled = generator.normal(size=5), generator.normal(size=(5, 3, 4))
    result = np.asarray(_attempt_with_advice(AXES_OF_FILTER, answer, filters, upscaled))
    if result.shape != (3, 4):
        return f"for 5 channels and a 3x4 image the result should be (3, 4), yours is {result.shape}"
    logits = np.einsum("c,chw->hw", filters, upscaled)
    if result.dtype == bool:
        return "this is the mask, True or False; give the logits themselves, before they are compared with 0"
    if np.allclose(result, logits):
        return None
    for wrong, reason in (
        (logits / 5, "this is the mean over the channels; add up without dividing"),
        (logits / 5**0.5, "no square root here: a logit is the plain dot product"),
        (upscaled.sum(axis=0), "the filter is not used: multiply every channel by its number first"),
    ):
        if np.allclose(result, wrong):
            return reason
    return "the shape is right, the numbers are not: multiply channel by channel, then add over the channels"


def _softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _attempt_with_advice(advice: str, answer: Any, *arrays: np.ndarray) -> Any:
    """`attempt`, where arrays that numpy cannot combine are told in words. advice: may hold {problem}."""
    try:
        return attempt(answer, *arrays)
    except ValueError as problem:
        if "broadcast" in str(problem):
            raise WrongKind(advice.format(problem=first_line(problem))) from problem
        raise
