"""Joining the masks of overlapping tiles across their seams. Run lengths only, never an array of pixels.

A thing that crosses a seam is found in both tiles, cut off in at least one of them. Where the tiles overlap both have
seen the same pixels; if two masks agree there, they are one. What is cut off and finds no other half is dropped, as
with
crops: if it is large, the look at the whole picture shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor

from sam2nb.masks.rle import Rle, merge_rles
from sam2nb.predict.everything.candidates import Candidates, distinct
from sam2nb.predict.everything.crops import Box, is_cut_off

AGREEMENT = 0.7  # IoU within the overlap from which two halves are one thing


def join_tiles(found: Candidates, size_hw: tuple[int, int], box_iou: float) -> Candidates:
    """Masks of all tiles, and of the whole picture, in pixels of the picture -> distinct whole masks, best first."""
    groups = _groups(len(found), _halves(found, size_hw))
    joined = _join(found, groups)
    whole = joined.select(~is_cut_off(joined.boxes, joined.crop_boxes, size_hw))
    kept = whole.select(distinct(whole.boxes, _preference(whole), box_iou))
    return kept.select(kept.predicted_iou.argsort(descending=True, stable=True))


def _halves(found: Candidates, size_hw: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Pairs of candidates from neighbouring tiles that are one thing: each the other's best match where both look."""
    cut = is_cut_off(found.boxes, found.crop_boxes, size_hw)
    members: dict[Box, list[int]] = {}
    for index, crop in enumerate(found.crop_boxes.tolist()):
        if crop != [0, 0, size_hw[1], size_hw[0]]:
            members.setdefault(tuple(crop), []).append(index)
    packed = [rle.to_coco() for rle in found.rles] if members else []
    for one, other in combinations(members, 2):
        overlap = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
        if overlap[0] >= overlap[2] or overlap[1] >= overlap[3]:
            continue
        rows, columns = (_reaching_into(overlap, found.boxes, members[tile]) for tile in (one, other))
        if not rows or not columns:
            continue
        agreement = _agreement([packed[i] for i in rows], [packed[i] for i in columns], overlap, size_hw)
        agreement *= (cut[rows][:, None] | cut[columns]).numpy()
        for row, column in zip(*np.nonzero(agreement >= AGREEMENT), strict=True):
            if agreement[row, column] == agreement[row].max() == agreement[:, column].max():
                yield rows[row], columns[column]


def _reaching_into(overlap: Box, boxes: Tensor, members: list[int]) -> list[int]:
    x0, y0, x1, y1 = boxes[members].unbind(dim=1)
    inside = (x0 < overlap[2]) & (x1 >= overlap[0]) & (y0 < overlap[3]) & (y1 >= overlap[1])
    return [member for member, reaches in zip(members, inside.tolist(), strict=True) if reaches]


def _agreement(ones: list[dict], others: list[dict], overlap: Box, size_hw: tuple[int, int]) -> np.ndarray:
    """IoU of every pair of masks, counted within the overlap only: -> (len(ones), len(others))"""
    x0, y0, x1, y1 = overlap
    frame = coco.frPyObjects(np.array([[x0, y0, x1 - x0, y1 - y0]], dtype=np.float64), *size_hw)[0]
    ones, others = ([coco.merge([mask, frame], intersect=True) for mask in masks] for masks in (ones, others))
    return coco.iou(ones, others, [False] * len(others))


def _groups(count: int, pairs: Iterator[tuple[int, int]]) -> list[list[int]]:
    """Chains of pairs as groups; who is in no pair is a group alone."""
    leader = list(range(count))

    def leader_of(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    for one, other in pairs:
        leader[leader_of(other)] = leader_of(one)
    groups: dict[int, list[int]] = {}
    for index in range(count):
        groups.setdefault(leader_of(index), []).append(index)
    return list(groups.values())


def _join(found: Candidates, groups: list[list[int]]) -> Candidates:
    """Each group as one candidate: masks united, scores averaged by area, the point of the largest part."""
    areas = torch.tensor([rle.area for rle in found.rles], dtype=torch.float64)
    joined = found.select(
        torch.tensor([max(group, key=lambda index: areas[index]) for group in groups], dtype=torch.int64)
    )
    rles: list[Rle] = list(joined.rles)
    for row, group in enumerate(groups):
        if len(group) == 1:
            continue
        share = areas[group] / areas[group].sum()
        joined.predicted_iou[row] = (found.predicted_iou[group] * share).sum()
        joined.stability[row] = (found.stability[group] * share).sum()
        tiles = found.crop_boxes[group]
        joined.crop_boxes[row] = torch.cat((tiles[:, :2].amin(dim=0), tiles[:, 2:].amax(dim=0)))
        rles[row] = merge_rles([found.rles[index] for index in group])
        joined.boxes[row] = torch.tensor(rles[row].box)
    return Candidates(
        *(getattr(joined, name) for name in ("points", "predicted_iou", "stability", "boxes")),
        joined.crop_boxes,
        tuple(rles),
    )


def _preference(found: Candidates) -> Tensor:
    """Higher for masks from smaller parts of the picture, where they were seen larger; then by predicted quality."""
    x0, y0, x1, y1 = found.crop_boxes.unbind(dim=1)
    order = np.lexsort((found.predicted_iou.numpy(), -((x1 - x0) * (y1 - y0)).numpy()))
    preference = torch.empty(len(found))
    preference[torch.from_numpy(order)] = torch.arange(len(found), dtype=torch.float32)
    return preference
