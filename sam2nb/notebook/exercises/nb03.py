"""Checkers of notebook 03_automatic_masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchvision.ops import nms

from sam2nb.masks.measure import stability_score
from sam2nb.notebook.check import attempt, exercise
from sam2nb.predict.everything.records import filter_records


@exercise("03.stability")
def stability(answer: Any) -> str | None:
    """Area above +offset divided by area above -offset."""
    rng = np.random.default_rng(0)
    for offset in (0.5, 1.0, 3.0):
        logits = rng.normal(size=(30, 40)).astype(np.float32) * 2
        expected = float(stability_score(torch.from_numpy(logits), 0.0, offset))
        got = float(attempt(answer, logits, offset))
        if abs(got - expected) > 1e-4:
            return f"for logits around 0 and offset {offset:g}, {expected:.3f} is right; yours returns {got:.3f}"
    return None


@exercise("03.keep_distinct")
def keep_distinct(answer: Any) -> str | None:
    """Greedy non-maximum suppression of boxes."""
    rng = np.random.default_rng(1)
    for count, limit in ((2, 0.7), (12, 0.5), (40, 0.3)):
        corner = rng.uniform(0, 60, (count, 2))
        boxes = np.concatenate((corner, corner + rng.uniform(20, 60, (count, 2))), axis=1).astype(np.float32)
        scores = rng.permutation(count).astype(np.float32)
        expected = nms(torch.from_numpy(boxes), torch.from_numpy(scores), limit).tolist()
        got = [int(index) for index in attempt(answer, boxes, scores, limit)]
        if got != expected:
            return f"of {count} boxes with limit {limit:g}, {expected} are kept (best first); yours keeps {got}"
    return None


@exercise("03.thresholds")
def thresholds(answer: Any, records: Any) -> str | None:
    """Thresholds that leave 8 to 12 masks, all with a stability of at least 0.97."""
    if not isinstance(answer, dict):
        return f'give a dict such as {{"stability_score_thresh": 0.9}}, not {type(answer).__name__}'
    kept = filter_records(records, **answer)
    if not 8 <= len(kept) <= 12:
        return f"{len(kept)} masks are left, not 8 to 12"
    lowest = min(record["stability_score"] for record in kept)
    return None if lowest >= 0.97 else f"the least stable mask left has a stability of {lowest:.3f}"


@exercise("03.middle_sized")
def middle_sized(answer: Any) -> str | None:
    """Records that cover between 1 and 10 percent of the image."""
    areas = [99, 100, 500, 1000, 1001, 9000]
    records = [{"area": area} for area in areas]
    kept = [record["area"] for record in attempt(answer, records, (50, 200))]
    expected = [100, 500, 1000]
    if kept == expected:
        return None
    return f"of areas {areas} in 50 x 200 pixels, {expected} are right; yours keeps {kept}"
