"""Track without learned memory: compare the image features of a frame with those of frames where the object is known.

The same part of an object looks alike to a good image encoder on every frame, so a label can be carried along with it.
Each cell of the frame finds its most similar cells in remembered frames and takes over their labels,

    p(cell) = sum_i softmax_i(q . k_i / temperature) v_i        over the 10 most similar k_i

where q and k_i are feature vectors of unit length and v_i is the share of cell i that the object covers. This is memory
attention with nothing learned: label propagation of space-time correspondence (arXiv 2006.14613; DINO, 2104.14294,
section 4.2), with the reading of a memory as in space-time memory networks (arXiv 1904.00607). It is done twice:
coarsely over the whole frame, which says where the object is, and finely in a region around it. What is found there
goes to the mask decoder as a mask prompt and a box; of its four masks the one that agrees with it becomes the object's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.masks.measure import mask_boxes
from sam2nb.model.mask_decoder import hide_absent, take_best
from sam2nb.model.memory_bank import MemoryBank, MemoryChoice
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.video.session import ObjectPrediction
from sam2nb.structures import BOX_CORNER_LABELS, MASK_STRIDE, ImageFeatures, Prompts, own_rows

GRID = 32  # cells on a side, of the whole frame and of a region
NEIGHBOURS, TEMPERATURE = 10, 0.05
# a tracked frame is compared only with cells nearby: the frames looked at, and how far, in sides of the view
RECENT_COARSE, REACH_COARSE = 2, 0.25
RECENT_FINE, REACH_FINE = 4, 0.35
FOUND, FOUND_OF_BEST = 0.15, 0.4  # a coarse cell may show the object from this probability on, absolute and relative
LARGE_PART = 0.3  # of the largest connected part: smaller ones do not count for the box
GROWTH, MARGIN, SMALLEST = 1.6, 0.08, 0.2  # of a region around a box: relative, and in sides of the frame
COVERAGE_SAMPLES = 4  # per cell and axis
CERTAIN = 1e-3  # probabilities become logits only this close to 0 and 1
SURELY_INSIDE, SURELY_OUTSIDE = 0.5, 0.1  # coverage of a cell that stands for the object, for the background
FAMILIAR = 0.4  # share of a mask's cells that must look like the object
AGREES = 0.3  # IoU with the prior, below which no mask of the decoder is taken
PRESENT = 10.0  # object score of what was found, as of a given mask
EVERYWHERE = (0.0, 0.0, 1.0, 1.0)


class View(NamedTuple):
    """Part of a frame on a grid of N = GRID x GRID cells, and where B objects are in it.

    box: (4,), its x1, y1, x2, y2 in 0..1 of the frame. cells: (N, C), features of unit length. covered: (B, N), the
    share of each cell that an object covers.
    """

    box: Tensor
    cells: Tensor
    covered: Tensor


@dataclass(frozen=True)
class MatchMemory:
    """The memory of B objects on one frame.

    frame: the whole frame, seen once for all objects; regions: the surroundings of each object, B views of one object.
    object_score: (B, 1); mask_logits: (B, 1, 4h, 4w).
    """

    frame: View
    regions: tuple[View, ...]
    object_score: Tensor
    mask_logits: Tensor

    def stored(self, device: torch.device) -> MatchMemory:
        """The same with its views and masks on another device."""
        regions = tuple(_moved(region, device) for region in self.regions)
        return replace(self, frame=_moved(self.frame, device), regions=regions, mask_logits=self.mask_logits.to(device))

    def split(self) -> list[MatchMemory]:
        """The memory of each object; the features of the whole frame stay shared."""
        frames = [self.frame._replace(covered=covered) for covered in own_rows(self.frame.covered)]
        rows = zip(frames, self.regions, own_rows(self.object_score), own_rows(self.mask_logits), strict=True)
        return [MatchMemory(frame, (region,), score, logits) for frame, region, score, logits in rows]


class MatchingMemory:
    """Track by matching image features. Reads nothing of a model but its image path: encoder, prompts, mask decoder."""

    def __init__(self, model: SAM2) -> None:
        self.model = model

    def predict_from_mask(self, features: ImageFeatures, mask: Tensor) -> ObjectPrediction:
        prediction, _ = self.model.predict_from_mask(features, mask)
        return ObjectPrediction(prediction.logits, prediction.object_score)

    def predict_from_points(
        self, features: ImageFeatures, prompts: Prompts, ambiguous: bool, bank: MemoryBank, choice: MemoryChoice | None
    ) -> ObjectPrediction:
        best = take_best(self.model.predict_masks(self.model.recall(features), features.high_res, prompts, ambiguous))
        return ObjectPrediction(best.logits.float(), torch.full_like(best.object_score, PRESENT))

    def predict_tracked(
        self, features: ImageFeatures, banks: Sequence[MemoryBank], choice: MemoryChoice
    ) -> ObjectPrediction:
        prompted = [frame for frame, row in choice.spatial if row == self.model.num_maskmem - 1]
        recent = [frame for frame, row in choice.spatial if row < self.model.num_maskmem - 1]
        memories = [[bank[frame] for frame in (*prompted, *recent)] for bank in banks]
        embedding = centred(features.embedding)
        # where each object is: the whole frame, coarsely
        frames = [_join_frames([memory[i].frame for memory in memories]) for i in range(len(memories[0]))]
        chosen = with_reach(frames, len(prompted), RECENT_COARSE, REACH_COARSE)
        found = carry_labels(view_frame(embedding), chosen)
        last = torch.cat([memory[-1].mask_logits for memory in memories]).to(embedding.device)
        boxes = regions_to_search(found, boxes_of(last))
        # its shape: the region around it, finely
        regions = [View(box, view_region(embedding, box), None) for box in boxes]
        views = [[seen.regions[0] for seen in memory] for memory in memories]
        soft = [
            carry_labels(region, with_reach(seen, len(prompted), RECENT_FINE, REACH_FINE))
            for region, seen in zip(regions, views, strict=True)
        ]
        prior = paste(torch.cat(soft), boxes, MASK_STRIDE * features.embedding.shape[-1])
        # its mask, redrawn by the mask decoder, and whether that still looks like the object
        logits = self._decode(features, prior)
        known = [[*(m.frame for m in memory[: len(prompted)]), *seen[: len(prompted)]] for memory, seen in zip(memories, views)]
        shares = [familiar_share(*row) for row in zip(regions, logits > 0, known, strict=True)]
        score = torch.where(torch.stack(shares)[:, None] >= FAMILIAR, PRESENT, -PRESENT)
        return ObjectPrediction(hide_absent(logits, score), score)

    def memorize(self, features: ImageFeatures, prediction: ObjectPrediction, from_prompt: bool) -> MatchMemory:
        embedding = centred(features.embedding)
        masks = (prediction.mask_logits > 0).float()
        frame = view_frame(embedding)._replace(covered=F.adaptive_avg_pool2d(masks, GRID).flatten(1))
        regions = grown(boxes_of(prediction.mask_logits))
        views = tuple(
            View(box, view_region(embedding, box), coverage(mask, box))
            for box, mask in zip(regions, masks, strict=True)
        )
        return MatchMemory(frame, views, prediction.object_score, prediction.mask_logits)

    def _decode(self, features: ImageFeatures, prior: Tensor) -> Tensor:
        """Let the mask decoder redraw the objects: prior (B, 1, 4h, 4w), 0 to 1 -> mask logits (B, 1, 4h, 4w)"""
        inside = prior > 0.5
        prior_logits = prior.clamp(CERTAIN, 1 - CERTAIN).logit()
        conditioned = self.model.recall(features)
        decoded = self.model.predict_all_masks(conditioned, features.high_res, as_prompts(inside, prior_logits))
        # of the four masks the one that agrees with the prior, and that the model trusts
        agreement = iou((decoded.logits > 0), inside)
        rows = torch.arange(len(prior), device=prior.device)
        best = (agreement + decoded.iou).argmax(dim=1)
        agrees = (agreement[rows, best] >= AGREES)[:, None, None, None]
        return torch.where(agrees, decoded.logits[rows, best][:, None].float(), prior_logits)


# --- matching ---------------------------------------------------------------------------------------------------------


def carry_labels(query: View, views: Iterable[tuple[View, float | None]]) -> Tensor:
    """The share of each cell of `query` that the object covers, judged by its most similar cells in `views`.

    views: with how far away a cell may be, in sides of the query; None for anywhere -> (B, N)
    """
    similarities, covered = [], []
    for view, reach in views:
        similarity = query.cells @ view.cells.to(query.cells).T
        if reach is not None:
            similarity.masked_fill_(~_nearby(query.box, view.box.to(query.box.device), reach), -1.0)
        similarities.append(similarity)
        covered.append(view.covered.to(query.cells.device))
    nearest, index = torch.cat(similarities, dim=1).topk(NEIGHBOURS, dim=1)
    weights = (nearest / TEMPERATURE).softmax(dim=1)
    return (weights * torch.cat(covered, dim=1)[:, index]).sum(dim=-1)


def with_reach(views: Sequence[View], prompted: int, limit: int, reach: float) -> list[tuple[View, float | None]]:
    """The prompted views, to be matched anywhere, and the last `limit` of the tracked ones, within reach."""
    return [(view, None) for view in views[:prompted]] + [(view, reach) for view in views[prompted:][-limit:]]


def familiar_share(region: View, mask: Tensor, views: Sequence[View]) -> Tensor:
    """The share of a mask's cells that look more like the object than like its background in the prompted frames.

    region: in which the mask, (1, H, W) bool, was found. views: of the prompted frames -> scalar, 0 for an empty mask
    """
    if not mask.any():
        return mask.new_zeros((), dtype=torch.float32)
    inside = coverage(mask.float(), region.box)[0]
    cells = region.cells[inside >= min(0.5, float(inside.max()))]
    covered = torch.cat([view.covered[0] for view in views]).to(cells.device)
    keys = torch.cat([view.cells for view in views]).to(cells)
    of_object, of_background = covered > SURELY_INSIDE, covered < SURELY_OUTSIDE
    if not of_object.any() or not of_background.any():
        return cells.new_ones(())  # nothing to judge by
    nearest_object = (cells @ keys[of_object].T).amax(dim=1)
    nearest_background = (cells @ keys[of_background].T).amax(dim=1)
    return (nearest_object > nearest_background).float().mean()


def _nearby(query_box: Tensor, key_box: Tensor, reach: float) -> Tensor:
    """Whether a cell of one view is near a cell of another: -> (N, N)"""
    steps = (torch.arange(GRID, device=query_box.device) + 0.5) / GRID
    near = []
    for start, end in ((0, 2), (1, 3)):  # x, then y
        side = query_box[end] - query_box[start]
        query = query_box[start] + steps * side
        key = key_box[start] + steps * (key_box[end] - key_box[start])
        near.append((query[:, None] - key).abs() <= reach * side)
    near_x, near_y = near
    return (near_y[:, None, :, None] & near_x[None, :, None, :]).reshape(GRID * GRID, GRID * GRID)


def centred(embedding: Tensor) -> Tensor:
    """The image embedding without its mean over the frame, which all cells have in common: (1, C, h, w)"""
    embedding = embedding.float()
    return embedding - embedding.mean(dim=(2, 3), keepdim=True)


def view_frame(embedding: Tensor) -> View:
    """The whole frame, without labels."""
    box = torch.tensor(EVERYWHERE, device=embedding.device)
    cells = F.adaptive_avg_pool2d(embedding, GRID)[0].flatten(1).T
    return View(box, F.normalize(cells, dim=1), None)


def view_region(embedding: Tensor, box: Tensor) -> Tensor:
    """Features of a region, enlarged by bicubic interpolation: embedding (1, C, h, w), box (4,) -> (N, C)"""
    sampled = F.grid_sample(embedding, _sampling_grid(box, GRID), "bicubic", "border", align_corners=False)
    return F.normalize(sampled[0].flatten(1).T, dim=1)


def coverage(mask: Tensor, box: Tensor) -> Tensor:
    """The share of each cell of a region that a mask covers: mask (1, H, W), box (4,) -> (1, N)"""
    fine = F.grid_sample(mask[None], _sampling_grid(box, GRID * COVERAGE_SAMPLES), align_corners=False)
    return F.avg_pool2d(fine, COVERAGE_SAMPLES)[0].flatten(1)


def _sampling_grid(box: Tensor, side: int) -> Tensor:
    """The centres of side x side cells of a box, as `grid_sample` takes them: -> (1, side, side, 2)"""
    steps = (torch.arange(side, device=box.device) + 0.5) / side
    x, y = box[0] + steps * (box[2] - box[0]), box[1] + steps * (box[3] - box[1])
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None] * 2 - 1


# --- boxes and prompts ------------------------------------------------------------------------------------------------


def boxes_of(logits: Tensor) -> Tensor:
    """Boxes of masks in 0..1, zeros for an empty one: (B, 1, H, W) -> (B, 4)"""
    return outer_boxes(logits[:, 0] > 0) / logits.shape[-1]


def outer_boxes(masks: Tensor) -> Tensor:
    """Boxes from the first pixel to the end of the last, zeros for an empty mask: (B, H, W) -> (B, 4)"""
    end = masks.flatten(1).any(dim=1, keepdim=True) * torch.tensor((0, 0, 1, 1), device=masks.device)
    return mask_boxes(masks) + end


def regions_to_search(found: Tensor, last: Tensor) -> Tensor:
    """A region around the cells that may show the object and around its last box, else the whole frame: -> (B, 4)

    found: (B, N), 0 to 1; last: (B, 4), zeros if the object was absent.
    """
    threshold = (FOUND_OF_BEST * found.amax(dim=1, keepdim=True)).clamp(min=FOUND)
    boxes = outer_boxes(large_parts((found > threshold).unflatten(1, (GRID, GRID)))) / GRID
    exists = [(box[:, 2] > box[:, 0])[:, None] for box in (boxes, last)]
    both = torch.cat((torch.minimum(boxes, last)[:, :2], torch.maximum(boxes, last)[:, 2:]), dim=1)
    return grown(torch.where(exists[0] & exists[1], both, torch.where(exists[0], boxes, last)))


def grown(boxes: Tensor) -> Tensor:
    """Regions around boxes, with a margin and of a least size; an empty box becomes the whole frame: (B, 4)"""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    half = torch.maximum(size * GROWTH, size + MARGIN).clamp(min=SMALLEST) / 2
    regions = torch.cat((centre - half, centre + half), dim=1).clamp(0, 1)
    return torch.where(size.any(dim=1, keepdim=True), regions, torch.tensor(EVERYWHERE, device=boxes.device))


def large_parts(masks: Tensor) -> Tensor:
    """Masks without their small connected parts: (B, H, W) bool"""
    kept = masks.cpu().numpy()
    for mask in kept:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0  # the background
        mask &= (areas >= LARGE_PART * areas.max())[labels]
    return torch.from_numpy(kept).to(masks.device)


def paste(soft: Tensor, regions: Tensor, side: int) -> Tensor:
    """Labels of regions on the whole frame, zero outside: soft (B, N), regions (B, 4) -> (B, 1, side, side)"""
    start, size = regions[:, :2], regions[:, 2:] - regions[:, :2]
    everywhere = torch.tensor(EVERYWHERE, device=soft.device)
    frame = (_sampling_grid(everywhere, side) + 1) / 2
    inside = (frame - start[:, None, None]) / size[:, None, None] * 2 - 1
    return F.grid_sample(soft.unflatten(1, (1, GRID, GRID)), inside, align_corners=False)


def as_prompts(inside: Tensor, logits: Tensor) -> Prompts:
    """A mask prompt, and the box of the mask's large parts: inside, logits (B, 1, 4h, 4w)"""
    corners = outer_boxes(large_parts(inside[:, 0])).unflatten(1, (2, 2)) * MASK_STRIDE
    labels = torch.tensor(BOX_CORNER_LABELS, dtype=torch.int32, device=logits.device)
    return Prompts(corners.to(logits.dtype), labels.expand(len(logits), -1), logits)


def iou(masks: Tensor, others: Tensor) -> Tensor:
    """Intersection over union: (B, M, H, W) and (B, 1, H, W) bool -> (B, M)"""
    intersection = (masks & others).flatten(2).sum(dim=2)
    return intersection / (masks | others).flatten(2).sum(dim=2).clamp(min=1)


def _join_frames(frames: Sequence[View]) -> View:
    """One view of a frame for several objects."""
    return frames[0]._replace(covered=torch.cat([frame.covered for frame in frames]))


def _moved(view: View, device: torch.device) -> View:
    return View(*(part.to(device) for part in view))
