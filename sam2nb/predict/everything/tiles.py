"""Join the masks of overlapping tiles across their seams.

An object that crosses a seam is found in both tiles, cut off in at least one of them. Where the tiles overlap, both
show the same pixels; two masks that agree there are one. A mask that is cut off and has no other half is dropped, as
between crops: if the object is large, the whole image shows it. Works on run lengths, never on arrays of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor

from sam2nb.masks.rle import merge_rles
from sam2nb.predict.everything.candidates import Candidates, distinct, join_candidates
from sam2nb.predict.everything.crops import Box, is_cut_off, whole_image

MIN_AGREEMENT = 0.7  # IoU within the overlap from which two halves are one object


def join_tiles(found: Candidates, size_hw: tuple[int, int], box_iou: float) -> Candidates:
    """Candidates of all tiles and of the whole image, in image pixels -> distinct whole masks, best first"""
    groups = _connected(len(found), _halves(found, size_hw))
    joined = _join_groups(found, groups)
    whole = joined.select(~is_cut_off(joined.boxes, joined.crop_boxes, size_hw))
    kept = whole.select(distinct(whole.boxes, _preference(whole), box_iou))
    return kept.select(kept.predicted_iou.argsort(descending=True, stable=True))


def _halves(found: Candidates, size_hw: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Pairs of candidates from neighbouring tiles that are one object: each is the other's best match."""
    cut_off = is_cut_off(found.boxes, found.crop_boxes, size_hw)
    members: dict[Box, list[int]] = {}
    for index, crop in enumerate(map(tuple, found.crop_boxes.tolist())):
        if crop != whole_image(size_hw).box:
            members.setdefault(crop, []).append(index)
    packed = [rle.to_coco() for rle in found.rles] if members else []
    for one, other in combinations(members, 2):
        overlap = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
        if overlap[0] >= overlap[2] or overlap[1] >= overlap[3]:
            continue
        rows, columns = (_reaching_into(overlap, found.boxes, members[tile]) for tile in (one, other))
        if not rows or not columns:
            continue
        agreement = _agreement([packed[i] for i in rows], [packed[i] for i in columns], overlap, size_hw)
        agreement *= (cut_off[rows][:, None] | cut_off[columns]).numpy()
        for row, column in zip(*np.nonzero(agreement >= MIN_AGREEMENT), strict=True):
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


def _connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of indices that are connected by pairs; an index without a pair is a group of its own."""
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


def _join_groups(found: Candidates, groups: list[list[int]]) -> Candidates:
    """Each group as one candidate, in the order of the groups."""
    several = [row for row, group in enumerate(groups) if len(group) > 1]
    alone = [row for row, group in enumerate(groups) if len(group) == 1]
    untouched = found.select(torch.tensor([groups[row][0] for row in alone], dtype=torch.int64))
    united = [_unite(found.select(torch.tensor(groups[row]))) for row in several]
    order = torch.tensor(alone + several, dtype=torch.int64).argsort()
    return join_candidates([untouched, *united]).select(order)


def _unite(parts: Candidates) -> Candidates:
    """One candidate from the parts of an object: union of masks, scores averaged by area, point of the largest part."""
    areas = torch.tensor([rle.area for rle in parts.rles], dtype=torch.float64)
    share = areas / areas.sum()
    largest = int(np.argmax(areas.numpy()))  # the first of equals, which torch does not promise
    rle = merge_rles(parts.rles)
    return Candidates(
        points=parts.points[largest][None],
        predicted_iou=(parts.predicted_iou * share).sum().float()[None],
        stability=(parts.stability * share).sum().float()[None],
        boxes=torch.tensor([rle.box]),
        crop_boxes=torch.cat((parts.crop_boxes[:, :2].amin(dim=0), parts.crop_boxes[:, 2:].amax(dim=0)))[None],
        rles=(rle,),
    )


def _preference(found: Candidates) -> Tensor:
    """Rank for non-maximum suppression: higher for smaller crops, which show more detail, then by predicted IoU."""
    x0, y0, x1, y1 = found.crop_boxes.unbind(dim=1)
    order = np.lexsort((found.predicted_iou.numpy(), -((x1 - x0) * (y1 - y0)).numpy()))
    preference = torch.empty(len(found))
    preference[torch.from_numpy(order)] = torch.arange(len(found), dtype=torch.float32)
    return preference
