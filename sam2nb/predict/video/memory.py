"""The memory of a tracker: what it keeps of a frame, and how it predicts from that.

A `Tracker` holds one of two. `OfficialMemory` is the one of the paper (SAM 2, arXiv 2408.00714, section 4): memory
attention recalls, the memory encoder memorizes. `MatchingMemory` (`matching.py`) compares image features and needs no
weights of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from sam2nb.model.mask_decoder import hide_absent, take_mask
from sam2nb.model.memory_bank import MemoryBank, MemoryChoice, recollect
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.video.matching import MatchingMemory
from sam2nb.predict.video.session import Memory, ObjectPrediction, ObjectTrack
from sam2nb.structures import FrameMemory, ImageFeatures, MaskPrediction, Prompts, Region
from sam2nb.weights.checkpoint import require_video_weights

log = logging.getLogger(__name__)


class VideoMemory(Protocol):
    """Predict objects on a frame, and make memories of the predictions. Keeps no state of a video.

    features: of the frame, for one image. banks: the memories of B objects; choice: which of them to attend to.
    """

    def predict_from_mask(self, features: ImageFeatures, mask: Tensor) -> ObjectPrediction:
        """Take a given mask, (1, 1, S, S), as the prediction for one object."""

    def predict_from_points(
        self, features: ImageFeatures, prompts: Prompts, ambiguous: bool, bank: MemoryBank, choice: MemoryChoice | None
    ) -> ObjectPrediction:
        """Predict one object from prompts. choice: None where the frame has no memories to attend to."""

    def predict_tracked(
        self, features: ImageFeatures, banks: Sequence[MemoryBank], choice: MemoryChoice
    ) -> ObjectPrediction:
        """Predict B objects from their memories alone."""

    def memorize(self, features: ImageFeatures, prediction: ObjectPrediction, from_prompt: bool) -> Memory:
        """Make the memory of B objects. from_prompt: the user prompted the frame, so its masks are certain."""


class OfficialMemory:
    """Memory attention, memory encoder and object pointers, as trained."""

    def __init__(self, model: SAM2) -> None:
        self.model = model

    def predict_from_mask(self, features: ImageFeatures, mask: Tensor) -> ObjectPrediction:
        prediction, pointer = self.model.predict_from_mask(features, mask)
        return ObjectPrediction(prediction.logits, prediction.object_score, prediction.iou, pointer, features.region)

    def predict_from_points(
        self, features: ImageFeatures, prompts: Prompts, ambiguous: bool, bank: MemoryBank, choice: MemoryChoice | None
    ) -> ObjectPrediction:
        memories = None if choice is None else recollect([bank], choice)
        conditioned = self.model.recall(features, memories)
        return self._predict(conditioned, features, prompts, ambiguous)

    def predict_tracked(
        self, features: ImageFeatures, banks: Sequence[MemoryBank], choice: MemoryChoice
    ) -> ObjectPrediction:
        conditioned = self.model.recall(features, recollect(banks, choice))
        no_prompts = Prompts.padding(1, self.model.device)  # the same for all objects
        return self._predict(conditioned, features, no_prompts, multimask=True)

    def memorize(self, features: ImageFeatures, prediction: ObjectPrediction, from_prompt: bool) -> FrameMemory:
        side = self.model.image_size
        masks = F.interpolate(prediction.mask_logits, (side, side), mode="bilinear", align_corners=False)
        spatial = self.model.memorize(features, masks, prediction.object_score, from_prompt)
        return FrameMemory(
            spatial, prediction.pointer, prediction.object_score, prediction.mask_logits, features.region
        )

    def _predict(
        self, conditioned: Tensor, features: ImageFeatures, prompts: Prompts, multimask: bool
    ) -> ObjectPrediction:
        candidates = self.model.predict_masks(conditioned, features.high_res, prompts, multimask)
        return self._chosen(candidates, candidates.iou.argmax(dim=1), features.region)

    def choose_mask(self, prediction: ObjectPrediction, chosen: Tensor) -> ObjectPrediction:
        """Take other masks among the candidates of B objects. chosen: (B,) int64"""
        return self._chosen(prediction.candidates, chosen, prediction.region)

    def _chosen(self, candidates: MaskPrediction, chosen: Tensor, region: Region) -> ObjectPrediction:
        mask = take_mask(candidates, chosen)
        pointer = self.model.object_pointer(mask.tokens[:, 0], mask.object_score)
        logits = hide_absent(mask.logits, mask.object_score).float()
        return ObjectPrediction(logits, mask.object_score, mask.iou, pointer, region, candidates)


def in_batches(
    attending: Iterable[tuple[ObjectTrack, MemoryBank, MemoryChoice]], most: int
) -> Iterator[tuple[MemoryChoice, list[ObjectTrack], list[MemoryBank]]]:
    """Objects that attend to the same frames, seen in the same regions: up to `most` at once.

    attending: each object, its memories and its choice among them.
    """
    groups: dict[tuple, list[tuple[ObjectTrack, MemoryBank]]] = {}
    for track, bank, choice in attending:
        regions = tuple(bank[other].region for other, _ in choice.spatial)
        groups.setdefault((choice, regions), []).append((track, bank))
    for (choice, _), members in groups.items():
        for start in range(0, len(members), most):
            tracks, banks = zip(*members[start : start + most], strict=True)
            yield choice, list(tracks), list(banks)


MEMORIES = {"official": OfficialMemory, "steady": OfficialMemory, "anchored": OfficialMemory, "match": MatchingMemory}


def choose_memory(model: SAM2, name: str | None = None) -> VideoMemory:
    """Make the memory of that name; None takes "official" where the model has weights for it, else "match".

    Raises ValueError for another name, or for "official" where the weights are missing.
    """
    if name is None:
        name = "match" if model.missing_parts else "official"
        if name == "match":
            _tell_once()
    if name not in MEMORIES:
        raise ValueError(f"memory must be one of {', '.join(MEMORIES)}, or None to choose by the weights, got {name!r}")
    if MEMORIES[name] is OfficialMemory:
        require_video_weights(model)
    return MEMORIES[name](model)


@cache
def _tell_once() -> None:
    log.warning('these weights have no memory for video: tracking matches image features instead (memory="match")')
