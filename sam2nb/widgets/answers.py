"""Answers to the prompts of a widget: by a SAM2ImagePredictor, or by any function that segments."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from torch import nn

from sam2nb import plotting
from sam2nb.predict.image import ImagePrediction, SAM2ImagePredictor
from sam2nb.widgets.objects import CLOSER, ObjectPrompts

PARTS_KEPT = 4  # predictors of parts of the image that are looked at more closely


class Prediction(NamedTuple):
    """The result of `segment`: mask (H, W) bool and the model's own estimate of its IoU, or None."""

    mask: np.ndarray
    score: float | None = None


# points (N, 2) as (x, y) in image pixels, labels (N,) 1 or 0, box (4,) x1, y1, x2, y2 or None
Segment = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Any]


class Candidates(NamedTuple):
    """The masks among which a person may choose: (C, h, w) bool, the score of each or None, and the best of them."""

    masks: np.ndarray
    scores: tuple[float | None, ...]
    best: int

    def chosen(self, choice: int | None) -> int:
        """The index of the mask that a person chose, else of the best."""
        return self.best if choice is None or not 0 <= choice < len(self.masks) else choice


class Answers(Protocol):
    """Whatever can answer prompts."""

    def candidates(self, prompts: ObjectPrompts, size_hw: tuple[int, int]) -> Candidates:
        """Masks of size_hw for the prompts of one object."""


class MaskFinder:
    """A `segment` function made from a SAM2ImagePredictor, see `mask_finder`."""

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    def __call__(self, points: np.ndarray, labels: np.ndarray, box: np.ndarray | None) -> Prediction:
        ambiguous = box is None and len(points) == 1
        clicks = {"point_coords": points, "point_labels": labels} if len(points) else {}
        masks, scores, _ = self.predictor.predict(**clicks, box=box, multimask_output=ambiguous)
        best = int(np.argmax(scores))
        return Prediction(masks[best], float(scores[best]))


def mask_finder(predictor: Any, image: Any = None) -> MaskFinder:
    """Make a `segment` function from a SAM2ImagePredictor.

    A single click is ambiguous, so it takes the best of three masks; with more prompts it takes the single mask.
    image: set in the predictor first; None keeps the image that is already set.
    """
    if image is not None:
        predictor.set_image(image)
    return MaskFinder(predictor)


def answers_of(source: Any, image: np.ndarray) -> PredictorAnswers | FunctionAnswers:
    """Whoever answers for a predictor, a `mask_finder` or a function, on an image (H, W, 3) uint8.

    Raises TypeError for anything else.
    """
    predictor = source.predictor if isinstance(source, MaskFinder) else source
    if isinstance(predictor, SAM2ImagePredictor):
        return PredictorAnswers(predictor, image)
    if not callable(source):
        raise TypeError(f"segment must be a SAM2ImagePredictor or a function, got {type(source).__name__}")
    return FunctionAnswers(source, image)


class PredictorAnswers:
    """Answers of a SAM2ImagePredictor, from a copy of it that keeps its own image.

    The image is encoded only if the predictor does not hold it already. What the predictor is used for later, by
    another widget for example, changes nothing here.
    """

    def __init__(self, predictor: SAM2ImagePredictor, image: np.ndarray) -> None:
        self.predictor = copy(predictor)
        self.image = image
        held = predictor.images[0].rgb if len(predictor.images) == 1 else None
        if held is None or not np.array_equal(held, image):
            self.predictor.set_image(image)
        self._parts: dict[tuple[int, ...], SAM2ImagePredictor] = {}

    @property
    def note(self) -> str:
        """A warning to show with every mask, or an empty text."""
        return note_about(self.predictor.model)

    def candidates(self, prompts: ObjectPrompts, size_hw: tuple[int, int]) -> Candidates:
        """Masks of size_hw; those of the image's size are the ones that `predict` returns.

        Raises ValueError if no prompt lies in the part of the image that is looked at.
        """
        if not isinstance(prompts.look, tuple):
            closer = True if prompts.look == CLOSER else None
            return self._predict(self.predictor, prompts, size_hw, (0, 0), closer)
        x0, y0, x1, y1 = prompts.look
        prompts = prompts.seen
        if not prompts.asks:
            raise ValueError("no click lies in the part of the image that is looked at closer")
        scale = size_hw[1] / self.image.shape[1], size_hw[0] / self.image.shape[0]
        columns, rows = _slice(x0, x1, scale[0], size_hw[1]), _slice(y0, y1, scale[1], size_hw[0])
        part_hw = rows.stop - rows.start, columns.stop - columns.start
        found = self._predict(self._part(prompts.look), prompts, part_hw, (x0, y0), None)
        masks = np.zeros((len(found.masks), *size_hw), bool)
        masks[:, rows, columns] = found.masks
        return found._replace(masks=masks)

    def _part(self, region: tuple[int, ...]) -> SAM2ImagePredictor:
        """A predictor whose image is a part of this one, x1, y1, x2, y2 in pixels."""
        if region not in self._parts:
            x0, y0, x1, y1 = region
            part = copy(self.predictor)
            part.set_image(self.image[y0:y1, x0:x1])
            while len(self._parts) >= PARTS_KEPT:
                del self._parts[next(iter(self._parts))]
            self._parts[region] = part
        return self._parts[region]

    def _predict(
        self,
        predictor: SAM2ImagePredictor,
        prompts: ObjectPrompts,
        size_hw: tuple[int, int],
        origin: tuple[int, int],
        closer: bool | None,
    ) -> Candidates:
        shown = at_size(predictor, size_hw)
        scale = np.array([size / whole for size, whole in zip(size_hw, predictor.original_sizes[0], strict=True)])[::-1]
        points = (np.array([p[:2] for p in prompts.points], float).reshape(-1, 2) - origin) * scale
        labels = [p[2] for p in prompts.points]
        box = None if prompts.box is None else ((np.reshape(prompts.box, (2, 2)) - origin) * scale).reshape(4)
        prior = None
        if prompts.choice is not None and len(points) and not prompts.is_ambiguous:
            first = shown.predict(points[:1], labels[:1], closer=closer)
            prior = first.logits[prompts.choice][None]
        clicks = {"point_coords": points, "point_labels": labels} if len(points) else {}
        answer: ImagePrediction = shown.predict(
            **clicks, box=box, mask_input=prior, multimask_output=prompts.is_ambiguous, closer=closer
        )
        return Candidates(answer.masks, tuple(answer.scores.tolist()), int(np.argmax(answer.scores)))


def at_size(predictor: SAM2ImagePredictor, size_hw: tuple[int, int]) -> SAM2ImagePredictor:
    """A copy of a predictor whose masks and coordinates have another size than its image.

    A preview of a large photograph then costs what a small one does; the encoded image is the same.
    """
    encoded = predictor.images[0]
    if size_hw == encoded.size_hw:
        return predictor
    resized = copy(predictor)
    resized.images = [replace(encoded, size_hw=size_hw)]
    shrunk = size_hw[0] * size_hw[1] / (encoded.size_hw[0] * encoded.size_hw[1])
    resized.max_hole_area, resized.max_sprinkle_area = (
        predictor.max_hole_area * shrunk,
        predictor.max_sprinkle_area * shrunk,
    )
    return resized


class FunctionAnswers:
    """Answers of a function of (points, labels, box) that returns a mask, a (mask, score) pair or a Prediction."""

    note = ""

    def __init__(self, segment: Segment, image: np.ndarray) -> None:
        self.segment = segment
        self.image = image

    def candidates(self, prompts: ObjectPrompts, size_hw: tuple[int, int]) -> Candidates:
        """The one mask of the function, resized."""
        points = np.array([p[:2] for p in prompts.points], np.float32).reshape(-1, 2)
        labels = np.array([p[2] for p in prompts.points], np.int32)
        box = None if prompts.box is None else np.array(prompts.box, np.float32)
        result = self.segment(points, labels, box)
        mask, score = result if isinstance(result, tuple) else (result, None)
        mask = plotting.as_masks(mask, self.image.shape[:2])[0]
        return Candidates(resized(mask, size_hw)[None], (None if score is None else float(score),), 0)


def resized(mask: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """A mask in another size: (H, W) bool -> (h, w) bool"""
    if mask.shape == tuple(size_hw):
        return mask
    grey = cv2.resize(mask.astype(np.uint8) * 255, size_hw[::-1], interpolation=cv2.INTER_AREA)
    return grey > 127


def _slice(start: int, end: int, scale: float, length: int) -> slice:
    first = min(round(start * scale), length - 1)
    return slice(first, max(first + 1, min(round(end * scale), length)))


def note_about(model: nn.Module) -> str:
    """A warning to show with every mask of a model, or an empty text."""
    return "RANDOM WEIGHTS: the masks mean nothing." if _is_untrained(model) else ""


def _is_untrained(model: nn.Module) -> bool:
    """Whether every layer normalisation is as it was built: then no checkpoint was loaded and nothing was learned."""
    layers = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    return bool(layers) and all(bool((m.weight == 1).all()) and not m.bias.any() for m in layers)
