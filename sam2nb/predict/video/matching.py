"""Track without learned memory: match the image features of frames.

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

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.masks.measure import iou
from sam2nb.masks.regions import large_parts
from sam2nb.model.mask_decoder import hide_absent, take_best
from sam2nb.model.memory_bank import MemoryBank, MemoryChoice
from sam2nb.model.sam2 import MASK_PROMPT_BIAS, MASK_PROMPT_SCALE, SAM2, read_given_mask
from sam2nb.predict.regions import boxes_in_region
from sam2nb.predict.video.session import ObjectPrediction
from sam2nb.predict.video.views import (
    GRID,
    LARGE_PART,
    View,
    boxes_of,
    centred,
    contrast_of,
    coverage,
    grown,
    move_view,
    nearby,
    on_frame,
    outer_boxes,
    paste,
    regions_to_search,
    view_frame,
    view_region,
    within,
)
from sam2nb.structures import (
    BOX_CORNER_LABELS,
    MASK_STRIDE,
    WHOLE_FRAME,
    ImageFeatures,
    Prompts,
    Region,
    own_rows,
)

NEIGHBOURS, TEMPERATURE = 10, 0.05
RECENT = 3  # tracked frames that are looked at, the latest ones
REACH_COARSE, REACH_FINE = 0.25, 0.35  # only cells of theirs that are nearby, in sides of the view
CERTAIN = 1e-3  # probabilities become logits only this close to 0 and 1
SURELY_INSIDE, SURELY_OUTSIDE = 0.5, 0.1  # coverage of a cell that stands for the object, for the background
FAMILIAR = 0.1  # share of the cells of a mask that must look more like the object than like the background
BLANK = 0.5  # contrast, relative to the prompted frames, below which a frame shows nothing (one colour: 0.36 to 0.46)
AGREES = 0.3  # IoU with the prior, below which no mask of the decoder is taken
PRESENT = MASK_PROMPT_SCALE + MASK_PROMPT_BIAS  # object score of what was found, as of a given mask


@dataclass(frozen=True)
class MatchMemory:
    """The memory of B objects on one frame.

    frame: the whole frame, seen once for all objects; regions: the surroundings of each object, B views of one object.
    contrast: of the frame's features, see `contrast_of`. object_score: (B, 1); mask_logits: (B, 1, 4h, 4w).
    region: the part of the frame that was encoded; `frame` and the masks show no more of it.
    """

    frame: View
    regions: tuple[View, ...]
    contrast: float
    object_score: Tensor
    mask_logits: Tensor
    region: Region = WHOLE_FRAME

    def stored(self, device: torch.device) -> MatchMemory:
        """The same with its views and masks on another device."""
        regions = tuple(move_view(region, device) for region in self.regions)
        return replace(
            self, frame=move_view(self.frame, device), regions=regions, mask_logits=self.mask_logits.to(device)
        )

    def split(self) -> list[MatchMemory]:
        """The memory of each object; the features of the whole frame stay shared."""
        frames = [self.frame._replace(covered=covered) for covered in own_rows(self.frame.covered)]
        rows = zip(frames, self.regions, own_rows(self.object_score), own_rows(self.mask_logits), strict=True)
        return [
            MatchMemory(frame, (view,), self.contrast, score, logits, self.region)
            for frame, view, score, logits in rows
        ]


class MatchingMemory:
    """Track by matching image features. Reads nothing of a model but its image path: encoder, prompts, mask decoder."""

    def __init__(self, model: SAM2) -> None:
        self.model = model

    def predict_from_mask(self, features: ImageFeatures, mask: Tensor) -> ObjectPrediction:
        logits, score = read_given_mask(mask)
        return ObjectPrediction(logits, score, torch.ones_like(score), region=features.region)

    def predict_from_points(
        self, features: ImageFeatures, prompts: Prompts, ambiguous: bool, bank: MemoryBank, choice: MemoryChoice | None
    ) -> ObjectPrediction:
        if prompts.masks is not None and not (prompts.masks > 0).any():
            prompts = replace(prompts, masks=None)  # the object was lost: the clicks start anew
        best = take_best(self.model.predict_masks(self.model.recall(features), features.high_res, prompts, ambiguous))
        score = torch.full_like(best.object_score, PRESENT)
        return ObjectPrediction(best.logits.float(), score, best.iou, region=features.region)

    def predict_tracked(
        self, features: ImageFeatures, banks: Sequence[MemoryBank], choice: MemoryChoice
    ) -> ObjectPrediction:
        prompted_row = self.model.num_maskmem - 1
        prompted = [frame for frame, row in choice.spatial if row == prompted_row]
        tracked = [frame for frame, row in choice.spatial if row != prompted_row]  # the latest one last
        memories = [[bank[frame] for frame in (*prompted, *tracked)] for bank in banks]
        embedding = centred(features.embedding)
        # where each object is: the whole frame (or what is seen of it), coarsely
        boxes = _search(embedding, features.region, memories, len(prompted))
        local = boxes_in_region(boxes, features.region)
        regions = [View(box, view_region(embedding, seen)) for box, seen in zip(boxes, local, strict=True)]
        # its shape: the region around it, finely
        seen = [[memory.regions[0] for memory in row] for row in memories]
        reachable = [with_reach(views, len(prompted), REACH_FINE) for views in seen]
        soft = torch.cat([carry_labels(region, views) for region, views in zip(regions, reachable, strict=True)])
        # its mask, redrawn by the mask decoder
        logits, quality = self._decode(features, paste(soft, local, MASK_STRIDE * embedding.shape[-1]))
        # whether that still looks like the object
        covered = [coverage((mask > 0).float(), box)[0] for mask, box in zip(logits, local, strict=True)]
        certain = [[view for old in row[: len(prompted)] for view in (old.frame, *old.regions)] for row in memories]
        shares = [familiar_share(region.cells, *row) for region, *row in zip(regions, covered, certain, strict=True)]
        blank = contrast_of(features.embedding) < BLANK * max(old.contrast for old in memories[0][: len(prompted)])
        score = presence_of(torch.stack(shares)[:, None], blank)
        return ObjectPrediction(hide_absent(logits, score), score, quality, region=features.region)

    def memorize(self, features: ImageFeatures, prediction: ObjectPrediction, from_prompt: bool) -> MatchMemory:
        embedding = centred(features.embedding)
        masks = (prediction.mask_logits > 0).float()
        seen = torch.tensor(features.region, device=embedding.device)
        frame = View(seen, view_frame(embedding).cells, F.adaptive_avg_pool2d(masks, GRID).flatten(1))
        boxes = within(grown(on_frame(boxes_of(prediction.mask_logits), features.region)), features.region)
        local = boxes_in_region(boxes, features.region)
        regions = [
            View(box, view_region(embedding, inner), coverage(mask, inner))
            for box, inner, mask in zip(boxes, local, masks, strict=True)
        ]
        in_half = tuple(view._replace(cells=view.cells.bfloat16()) for view in (frame, *regions))
        contrast = contrast_of(features.embedding)
        score, logits = prediction.object_score, prediction.mask_logits
        return MatchMemory(in_half[0], in_half[1:], contrast, score, logits, features.region)

    def _decode(self, features: ImageFeatures, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Let the mask decoder redraw the objects: prior (B, 1, 4h, 4w), 0 to 1
        -> mask logits (B, 1, 4h, 4w), predicted IoU (B, 1), 0 where the prior itself is the mask
        """
        inside = prior > 0.5
        prior_logits = prior.clamp(CERTAIN, 1 - CERTAIN).logit()
        conditioned = self.model.recall(features)
        decoded = self.model.predict_all_masks(conditioned, features.high_res, as_prompts(inside, prior_logits))
        # of the four masks the one that agrees with the prior, and that the model trusts
        agreement = iou(decoded.logits > 0, inside)
        rows = torch.arange(len(prior), device=prior.device)
        best = (agreement + decoded.iou).argmax(dim=1)
        agrees = (agreement[rows, best] >= AGREES)[:, None]
        logits = torch.where(agrees[..., None, None], decoded.logits[rows, best][:, None].float(), prior_logits)
        return logits, decoded.iou[rows, best][:, None].float() * agrees


def presence_of(familiar: Tensor, blank: bool) -> Tensor:
    """Object scores from the familiar shares of B masks: (B, 1), 0 to 1 -> (B, 1), -PRESENT to PRESENT"""
    present = (familiar >= FAMILIAR) & (not blank)
    return PRESENT * torch.where(present, familiar, familiar - 1)


def _search(embedding: Tensor, seen: Region, memories: Sequence[Sequence[MatchMemory]], prompted: int) -> Tensor:
    """The regions in which B objects may be, found in what is seen of the frame: -> (B, 4) in 0..1 of the frame"""
    frames = [_join_frames([old.frame for old in same_frame]) for same_frame in zip(*memories, strict=True)]
    query = view_frame(embedding)._replace(box=torch.tensor(seen, device=embedding.device))
    found = carry_labels(query, with_reach(frames, prompted, REACH_COARSE))
    last = torch.cat([on_frame(boxes_of(row[-1].mask_logits), row[-1].region) for row in memories])
    return within(regions_to_search(found, last.to(embedding.device), seen), seen)


# --- matching ---------------------------------------------------------------------------------------------------------


def carry_labels(query: View, views: Iterable[tuple[View, float | None]]) -> Tensor:
    """The share of each cell of `query` that the object covers, judged by its most similar cells in `views`.

    views: with how far away a cell may be, in sides of the query; None for anywhere -> (B, N)
    """
    similarities, covered = [], []
    for view, reach in views:
        similarity = query.cells @ view.cells.to(query.cells).T
        if reach is not None:
            similarity.masked_fill_(~nearby(query.box, view.box.to(query.box.device), reach), -1.0)
        similarities.append(similarity)
        covered.append(view.covered.to(query.cells.device))
    nearest, index = torch.cat(similarities, dim=1).topk(NEIGHBOURS, dim=1)
    weights = (nearest / TEMPERATURE).softmax(dim=1)
    return (weights * torch.cat(covered, dim=1)[:, index]).sum(dim=-1)


def with_reach(views: Sequence[View], prompted: int, reach: float) -> list[tuple[View, float | None]]:
    """The prompted views, to be matched anywhere, and the latest tracked ones, within reach."""
    return [(view, None) for view in views[:prompted]] + [(view, reach) for view in views[prompted:][-RECENT:]]


def familiar_share(cells: Tensor, covered: Tensor, views: Sequence[View]) -> Tensor:
    """The share of a mask's cells that look more like the object than like the background in `views`, 0 to 1.

    cells: (N, C), features of a region; covered: (N,), the share of each cell that the mask covers; views: in which the
    object is certain. -> scalar, 0 for an empty mask
    """
    if not covered.any():
        return covered.new_zeros(())
    chosen = cells[covered >= min(0.5, float(covered.max()))]
    known = torch.cat([view.covered[0] for view in views]).to(cells.device)
    keys = torch.cat([view.cells for view in views]).to(cells)
    of_object, of_background = known > SURELY_INSIDE, known < SURELY_OUTSIDE
    if not of_object.any() or not of_background.any():
        return cells.new_ones(())  # nothing to judge by
    nearest_object = (chosen @ keys[of_object].T).amax(dim=1)
    nearest_background = (chosen @ keys[of_background].T).amax(dim=1)
    return (nearest_object > nearest_background).float().mean()


def as_prompts(inside: Tensor, logits: Tensor) -> Prompts:
    """A mask prompt, and the box of the mask's large parts: inside, logits (B, 1, 4h, 4w)"""
    corners = outer_boxes(large_parts(inside[:, 0], LARGE_PART)).unflatten(1, (2, 2)) * MASK_STRIDE
    labels = torch.tensor(BOX_CORNER_LABELS, dtype=torch.int32, device=logits.device)
    return Prompts(corners.to(logits.dtype), labels.expand(len(logits), -1), logits)


def _join_frames(frames: Sequence[View]) -> View:
    """One view of a frame for several objects."""
    return frames[0]._replace(covered=torch.cat([frame.covered for frame in frames]))
