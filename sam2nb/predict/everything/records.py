"""Records of everything mode: filter them, look up a pixel, draw a label map.

A record is the official dict: segmentation, area, bbox, predicted_iou, point_coords, stability_score, crop_box. All
functions take the segmentation in any of its three forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sam2nb.masks.measure import box_xywh
from sam2nb.masks.rle import Rle, as_rle
from sam2nb.predict.everything.candidates import Candidates, distinct

Record = dict[str, Any]

OUTPUT_MODES: dict[str, Callable[[Rle], Any]] = {
    "binary_mask": Rle.to_mask,
    "uncompressed_rle": Rle.to_dict,
    "coco_rle": Rle.to_coco,
}
BACKGROUND = 0  # in a label map


def record_of(found: Candidates, row: int, output_mode: str) -> Record:
    """One candidate as the official dict, with its keys in the official order."""
    return {
        "segmentation": OUTPUT_MODES[output_mode](found.rles[row]),
        "area": found.rles[row].area,
        "bbox": box_xywh(found.boxes[row].float().tolist()),
        "predicted_iou": found.predicted_iou[row].item(),
        "point_coords": [found.points[row].tolist()],
        "stability_score": found.stability[row].item(),
        "crop_box": box_xywh(found.crop_boxes[row].float().tolist()),
    }


def record_of_mask(rle: Rle, **known: Any) -> Record:
    """A record for a mask from elsewhere, with the known entries only."""
    return {"segmentation": rle.to_coco(), "area": rle.area, "bbox": box_xywh([float(v) for v in rle.box]), **known}


def filter_records(
    records: Sequence[Record],
    pred_iou_thresh: float = 0.8,
    stability_score_thresh: float = 0.95,
    box_nms_thresh: float = 0.7,
    min_area: int = 0,
) -> list[Record]:
    """Apply stricter thresholds to existing records, without running the model again.

    The records of a generator with open thresholds (0, 0 and 1), filtered here, equal those of a generator with these
    thresholds (one crop, no cleaning).
    """
    kept = [
        record
        for record in records
        if (record["predicted_iou"] > pred_iou_thresh or pred_iou_thresh <= 0)
        and record["stability_score"] >= stability_score_thresh
        and record["area"] >= min_area
    ]
    xywh = torch.tensor([record["bbox"] for record in kept], dtype=torch.float32).reshape(-1, 4)
    boxes = torch.cat((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), dim=1)
    scores = torch.tensor([record["predicted_iou"] for record in kept], dtype=torch.float32)
    return [kept[row] for row in distinct(boxes, scores, box_nms_thresh).tolist()]


def record_at(records: Sequence[Record], xy: tuple[float, float]) -> int | None:
    """Index of the smallest mask that covers a pixel, or None.

    Raises ValueError for a pixel outside the image.
    """
    column, row = int(xy[0]), int(xy[1])
    best = None
    for index, record in enumerate(records):
        rle = as_rle(record["segmentation"])
        height, width = rle.size_hw
        if not (0 <= column < width and 0 <= row < height):
            raise ValueError(f"xy must be inside the image of {width} x {height} pixels, got {xy}")
        if rle.window(column, row, column + 1, row + 1)[0, 0] and (best is None or rle.area < best[0]):
            best = (rle.area, index)
    return None if best is None else best[1]


def label_map(records: Sequence[Record], size_hw: tuple[int, int]) -> np.ndarray:
    """One number per pixel: 0 for background, else 1 + the index of the record; small masks are on top.

    -> (H, W), uint8 for up to 255 records, else uint16
    Raises ValueError for masks of another size, or more than 65,535 of them.
    """
    if len(records) > np.iinfo(np.uint16).max:
        raise ValueError(f"a label map holds at most {np.iinfo(np.uint16).max} masks, got {len(records)}")
    labels = np.zeros(size_hw, dtype=np.uint8 if len(records) <= np.iinfo(np.uint8).max else np.uint16)
    rles = [as_rle(record["segmentation"]) for record in records]
    for index in sorted(range(len(rles)), key=lambda i: -rles[i].area):
        x0, y0, x1, y1 = rles[index].box
        if rles[index].size_hw != tuple(size_hw):
            raise ValueError(f"record {index} is a mask of {rles[index].size_hw}, the image has {tuple(size_hw)}")
        labels[y0 : y1 + 1, x0 : x1 + 1][rles[index].window(x0, y0, x1 + 1, y1 + 1)] = index + 1
    return labels
