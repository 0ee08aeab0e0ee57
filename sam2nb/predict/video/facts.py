"""The plain numbers that memory policies and search regions decide by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from sam2nb.masks.regions import large_part
from sam2nb.predict.regions import box_on_frame
from sam2nb.structures import WHOLE_FRAME, MaskPrediction, Region

LARGE_PART = 0.3  # of the largest connected part: smaller ones do not count for the box
NO_BOX = (0.0, 0.0, 0.0, 0.0)


class Facts(NamedTuple):
    """Plain numbers about an object on one frame.

    quality: predicted IoU of its mask, 0 to 1. presence: its object score, positive where the object is present.
    area: share of the frame that the mask covers. box: of its large parts, x1, y1, x2, y2 in 0..1 of the frame, zeros
    for an empty mask. region: the part of the frame in which it was predicted. doubt: how far the box would grow if the
    mask took in what another of the decoder's masks adds, 0 (not at all) to 1; a distractor shows itself that way.
    clear, anchor, mistaken: verdicts of the memory policy, see `policies`.
    """

    quality: float
    presence: float
    area: float
    box: Region = NO_BOX
    region: Region = WHOLE_FRAME
    doubt: float = 0.0
    clear: bool = True
    anchor: bool = False
    mistaken: bool = False

    @property
    def visible(self) -> bool:
        """Whether the object is present and has a mask."""
        return self.presence > 0 and self.area > 0

    def as_mistaken(self) -> Facts:
        """The same for a mask that is taken for another thing: the object counts as absent."""
        return self._replace(presence=-abs(self.presence), clear=False, mistaken=True)


def facts_of(
    mask_logits: Tensor,
    object_score: Tensor,
    quality: Tensor,
    region: Region = WHOLE_FRAME,
    candidates: MaskPrediction | None = None,
) -> list[Facts]:
    """Facts of B objects: mask_logits (B, 1, h, w), object_score and quality (B, 1), M candidate masks each.

    candidates: None leaves `doubt` at 0.
    """
    inside = (mask_logits[:, 0] > 0).cpu().numpy()
    share_of_frame = (region[2] - region[0]) * (region[3] - region[1])
    rows = []
    for row, mask in enumerate(inside):
        box = _box(large_part(mask, LARGE_PART))
        rows.append(
            Facts(
                quality=float(quality[row]),
                presence=float(object_score[row]),
                area=float(mask.mean()) * share_of_frame,
                box=NO_BOX if box is None else box_on_frame(box, region),
                region=region,
                doubt=0.0 if candidates is None else doubt_of(mask, (candidates.logits[row] > 0).cpu().numpy()),
            )
        )
    return rows


def doubt_of(mask: np.ndarray, others: np.ndarray) -> float:
    """One minus the smallest IoU of a mask's box and the box of it joined by the largest part that another mask adds.

    mask: (H, W) bool; others: (M, H, W) bool, among them `mask` itself, which adds nothing (DAM4SAM, arXiv 2411.17576,
    section 3.2).
    """
    box = _box(mask)
    if box is None:
        return 0.0
    area = (box[2] - box[0]) * (box[3] - box[1])
    doubts = [0.0]
    for other in others:
        part = large_part(other & ~mask, 1.0)
        joined = _box(mask | part)
        doubts.append(1 - area / ((joined[2] - joined[0]) * (joined[3] - joined[1])))
    return max(doubts)


def box_iou(first: Region, second: Region) -> float:
    """IoU of two boxes, 0 for an empty one."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (sum(areas) - width * height)


def _box(mask: np.ndarray) -> Region | None:
    """The box of a mask from the first pixel to the end of the last, in 0..1; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    height, width = mask.shape
    return (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
