"""Detections of the supervision library from masks, and masks from its detections.

supervision reads the results of Ultralytics, Transformers, Detectron2, MMDetection and others, so that `Detections`
is the door for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import supervision as sv

from sam2nb.export.classes import ClassNames
from sam2nb.masks.rle import as_rle, rle_from_mask
from sam2nb.predict.detections import CLASS_NAME, PREDICTED_IOU, class_names
from sam2nb.predict.everything.records import Record, record_of_mask
from sam2nb.predict.video.session import FrameResult
from sam2nb.structures import UNNAMED


def to_detections(found: Sequence[Record] | FrameResult) -> sv.Detections:
    """Records, or the result of a video frame, as supervision's Detections, in the same order, masks as arrays.

    The confidence is that of the detector if it is known, else the predicted IoU. Class names are in
    data["class_name"]. The objects of a video have their ids as `tracker_id`, if all are whole numbers; those that are
    absent from the frame are left out.
    """
    records = _records_of_result(found) if isinstance(found, FrameResult) else found
    if not records:
        return sv.Detections.empty()
    rles = [as_rle(record["segmentation"]) for record in records]
    scored = next((key for key in ("confidence", PREDICTED_IOU) if all(key in record for record in records)), None)
    tracks = [record.get("track_id") for record in records]
    is_tracked = all(isinstance(track, (int, np.integer)) for track in tracks)
    names, classes = [record.get("class_name") for record in records], ClassNames()
    numbers = [classes.number(name) for name in names]
    if all("class_id" in record for record in records):
        numbers = [record["class_id"] for record in records]
    return sv.Detections(
        xyxy=np.array([rle.box for rle in rles], dtype=np.float32),
        mask=np.stack([rle.to_mask() for rle in rles]),
        confidence=np.array([record[scored] for record in records], dtype=np.float32) if scored else None,
        class_id=np.array(numbers, dtype=int),
        tracker_id=np.array(tracks, dtype=int) if is_tracked else None,
        data={CLASS_NAME: np.array([name or UNNAMED for name in names])} if any(names) else {},
    )


def from_detections(detections: sv.Detections) -> list[Record]:
    """Detections with masks as records, which `export.masks` writes; scores, class names and ids are kept.

    Raises ValueError for detections without masks.
    """
    if len(detections) and detections.mask is None:
        raise ValueError("detections have no masks: use those of SAM2ImagePredictor.predict_detections")
    columns: dict[str, Sequence[Any]] = {
        "predicted_iou": detections.data.get(PREDICTED_IOU),
        "confidence": detections.confidence,
        "class_id": detections.class_id,
        "class_name": class_names(detections),
        "track_id": detections.tracker_id,
    }
    known = {key: np.asarray(values).tolist() for key, values in columns.items() if values is not None}
    return [
        record_of_mask(
            rle_from_mask(np.asarray(detections.mask[row])),
            **{key: values[row] for key, values in known.items() if values[row] is not None},
        )
        for row in range(len(detections))
    ]


def _records_of_result(result: FrameResult) -> list[Record]:
    """A record for each object that is on the frame."""
    inside = (result.masks[:, 0] > 0).cpu().numpy()
    rows = zip(result.obj_ids, result.names, result.quality.tolist(), inside, strict=True)
    records = []
    for obj_id, name, quality, mask in rows:
        if mask.any():
            records.append(record_of_mask(rle_from_mask(mask), track_id=obj_id, class_name=name, predicted_iou=quality))
    return records
