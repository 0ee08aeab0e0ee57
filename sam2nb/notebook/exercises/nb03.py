"""Checkers of notebook 03_automatic_masks."""

from __future__ import annotations

import inspect
import numbers
from typing import Any

import numpy as np
import torch
from torchvision.ops import nms

from sam2nb.masks.measure import stability_score
from sam2nb.masks.rle import rle_from_mask
from sam2nb.notebook.check import WrongKind, as_number, attempt, exercise
from sam2nb.predict.everything.records import Record, filter_records, record_of_mask

CLOSE = 1e-4  # of numbers that count as equal
THRESHOLDS = tuple(inspect.signature(filter_records).parameters)[1:]
WANTED_COUNT, WANTED_STABILITY = (8, 12), 0.97


@exercise("03.thresholds")
def thresholds(answer: Any, records: Any) -> str | None:
    """Thresholds that leave 8 to 12 masks, all with a stability of at least 0.97."""
    if not isinstance(answer, dict):
        return f'give a dict such as {{"stability_score_thresh": 0.9}}, not {type(answer).__name__}'
    for name, value in answer.items():
        if name not in THRESHOLDS:
            return f"filter_records has no argument {name!r}; it has {', '.join(THRESHOLDS)}"
        if not isinstance(value, numbers.Real):
            return f"{name} must be a number, not {value!r}"
    kept = filter_records(records, **answer)
    low, high = WANTED_COUNT
    if not low <= len(kept) <= high:
        too = "strict" if len(kept) < low else "loose"
        return f"{len(kept)} masks are left, not {low} to {high}: too {too}"
    lowest = min(record["stability_score"] for record in kept)
    if lowest >= WANTED_STABILITY:
        return None
    return f"{len(kept)} masks are left, as wanted, but the least stable has {lowest:.3f}, not {WANTED_STABILITY}"


@exercise("03.stability")
def stability(answer: Any) -> str | None:
    """Area above +offset divided by area above -offset."""
    rng = np.random.default_rng(0)
    for offset in (0.5, 1.0, 3.0):
        logits = rng.normal(size=(30, 40)).astype(np.float32) * 2
        expected = float(stability_score(torch.from_numpy(logits), 0.0, offset))
        got = as_number(attempt(answer, logits.copy(), offset))
        if abs(got - expected) > CLOSE:
            why = " (upside down: the smaller area belongs on top)" if abs(got * expected - 1) < CLOSE else ""
            return f"for random logits and offset {offset:g}, {expected:.3f} is right; yours returns {got:.3f}{why}"
    return None


@exercise("03.keep_distinct")
def keep_distinct(answer: Any) -> str | None:
    """Greedy non-maximum suppression of boxes."""
    return _wrong_in_a_plain_case(answer) or _wrong_among_many(answer)


PLAIN_CASES = (  # boxes, best first; limit; indices that stay; why
    ([[0, 0, 10, 10], [19, 19, 29, 29]], 0.5, [0, 1], "they do not overlap: a width or height below 0 counts as 0"),
    ([[0, 0, 10, 10], [0, 0, 10, 5]], 0.5, [0, 1], "their IoU is 0.5, and *at most* 0.5 may stay"),
    ([[0, 0, 10, 10], [1, 0, 11, 10]], 0.5, [0], "their IoU is 0.82"),
    ([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], 0.3, [0, 2], "the last is compared with kept boxes only"),
)


def _wrong_in_a_plain_case(answer: Any) -> str | None:
    for boxes, limit, expected, why in PLAIN_CASES:
        scores = np.linspace(0.9, 0.8, len(boxes), dtype=np.float32)
        got = _indices(attempt(answer, np.array(boxes, np.float32), scores, limit), len(boxes))
        if got != expected:
            return f"of the boxes {boxes}, best first, with limit {limit}, {expected} stay ({why}); yours keeps {got}"
    return None


def _wrong_among_many(answer: Any) -> str | None:
    rng = np.random.default_rng(1)
    for count, limit in ((5, 0.3), (40, 0.3)):
        corner = rng.uniform(0, 40, (count, 2))
        boxes = np.concatenate((corner, corner + rng.uniform(20, 60, (count, 2))), axis=1).astype(np.float32)
        scores = rng.permutation(count).astype(np.float32)
        expected = nms(torch.from_numpy(boxes), torch.from_numpy(scores), limit).tolist()
        got = _indices(attempt(answer, boxes.copy(), scores.copy(), limit), count)
        if got == expected:
            continue
        if sorted(got) == sorted(expected):
            return f"the right boxes stay, but not best first: {expected} is right; yours returns {got}"
        return f"of {count} boxes with limit {limit:g}, {expected} stay (best first); yours keeps {got}"
    return None


def _indices(result: Any, count: int) -> list[int]:
    """The returned indices as whole numbers. Raises WrongKind for boxes, booleans and anything else."""
    try:
        values = np.asarray(result if isinstance(result, torch.Tensor | np.ndarray) else list(result))
    except (TypeError, ValueError):
        raise WrongKind(f"return a list of indices such as [0, 1], not {result!r}") from None
    if values.ndim != 1 or values.size and values.dtype.kind not in "iu":
        raise WrongKind("return a list of indices such as [0, 1], not boxes, scores, or True and False")
    if values.size and (values.min() < 0 or values.max() >= count):
        raise WrongKind(f"for {count} boxes an index is between 0 and {count - 1}; yours returns {values.tolist()}")
    return values.tolist()


@exercise("03.middle_sized")
def middle_sized(answer: Any) -> str | None:
    """Records that cover between 1 and 10 percent of the image."""
    size_hw = (50, 200)
    areas = [99, 100, 500, 1000, 1001, 9000]
    kept = _areas(attempt(answer, [_record(area, size_hw) for area in areas], size_hw))
    expected = [100, 500, 1000]
    if kept == expected:
        return None
    why = " (the ends belong to it)" if kept == [500] else ""
    return f"of areas {areas} in {size_hw[0]} x {size_hw[1]} pixels, {expected} are right; yours keeps {kept}{why}"


def _record(area: int, size_hw: tuple[int, int]) -> Record:
    """A record as everything mode makes it, of a mask of `area` pixels."""
    mask = np.arange(size_hw[0] * size_hw[1]).reshape(size_hw) < area
    known = {"predicted_iou": 0.9, "point_coords": [[0.0, 0.0]], "stability_score": 0.96}
    height, width = size_hw
    return record_of_mask(rle_from_mask(mask), **known, crop_box=[0.0, 0.0, float(width), float(height)])


def _areas(result: Any) -> list[int]:
    try:
        return sorted(record["area"] for record in result)
    except (TypeError, KeyError, IndexError):
        raise WrongKind("return a list of the records themselves, not of their areas or indices") from None
