"""Detections of other models as prompts: check their boxes, segment them in an image.

Detections are those of the supervision library, which is not imported here: any dataclass with its fields will do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import supervision as sv

CLASS_NAME = "class_name"  # the entry of `data` in which supervision keeps them
PREDICTED_IOU = "predicted_iou"  # the entry for the scores of masks
BOXES_AT_ONCE = 64  # in one batch of the decoder
PIXELS_AT_ONCE = (
    100_000_000  # of its masks at the size of the image, four bytes each: large images have smaller batches
)

log = logging.getLogger(__name__)


def usable_detections(detections: sv.Detections, size_hw: tuple[int, int]) -> tuple[sv.Detections, np.ndarray]:
    """The detections whose boxes show a part of an image, and (N, 4) their boxes, cut off at its edges.

    Those with NaN, without an area or outside the image are left out, with one warning. Raises TypeError for another
    class than supervision's, ValueError for boxes in 0..1 instead of pixels.
    """
    if not is_dataclass(detections) or not hasattr(detections, "xyxy"):
        raise TypeError(
            "detections must be supervision.Detections, for example sv.Detections.from_ultralytics(result), "
            f"got {type(detections).__name__}"
        )
    height, width = size_hw
    boxes = np.asarray(detections.xyxy, dtype=np.float64).reshape(-1, 4)
    is_number = np.isfinite(boxes).all(axis=1)
    has_area = is_number & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if has_area.any() and boxes[has_area].min() >= 0 and boxes[has_area].max() <= 1 < min(size_hw):
        raise ValueError(f"the boxes of detections must be in pixels of the image of {width}x{height}, got 0..1")
    cut = boxes.clip(0, (width, height, width, height))
    is_inside = has_area & (cut[:, 2:] > cut[:, :2]).all(axis=1)
    if not is_inside.all():
        log.warning(
            "%d of %d detections are left out: %d with NaN or infinite values, %d empty, %d outside the image of %dx%d",
            *(int(np.sum(part)) for part in (~is_inside, np.ones(len(boxes)), ~is_number)),
            *(int(np.sum(part)) for part in (is_number & ~has_area, has_area & ~is_inside)),
            width,
            height,
        )
        detections = detections[is_inside]
    return detections, cut[is_inside]


def class_names(detections: sv.Detections) -> list[str | None]:
    """The class name of each detection: from its data, else "class 3" from its class id, else None."""
    count = len(detections.xyxy)
    if CLASS_NAME in detections.data:
        return [None if name is None else str(name) or None for name in detections.data[CLASS_NAME]]
    if detections.class_id is not None:
        return [f"class {int(number)}" for number in detections.class_id]
    return [None] * count


def segment_detections(
    detections: sv.Detections, size_hw: tuple[int, int], predict: Callable[[np.ndarray], Sequence[np.ndarray]]
) -> sv.Detections:
    """The same detections with masks, see `SAM2ImagePredictor.predict_detections`.

    predict: from (B, 4) boxes to masks, scores and logits, one mask a box.
    """
    kept, boxes = usable_detections(detections, size_hw)
    masks = np.zeros((len(boxes), *size_hw), dtype=bool)
    scores = np.zeros(len(boxes), dtype=np.float32)
    batch = max(1, min(BOXES_AT_ONCE, PIXELS_AT_ONCE // (size_hw[0] * size_hw[1])))
    for start in range(0, len(boxes), batch):
        rows = slice(start, start + batch)
        found, quality, _ = predict(boxes[rows])
        masks[rows] = found.reshape(-1, *size_hw)
        scores[rows] = quality.reshape(-1)
    return replace(kept, mask=masks, data={**kept.data, PREDICTED_IOU: scores})
