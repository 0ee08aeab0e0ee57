"""Segment a picture from text prompts: what `python -m sam2nb segment` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sam2nb.cli.track import numbers
from sam2nb.media.images import to_rgb_uint8
from sam2nb.model.sam2 import SAM2
from sam2nb.plotting import draw_masks
from sam2nb.predict.image import SAM2ImagePredictor

MOST_LABELS = 255  # values of an 8-bit label map


@dataclass(frozen=True)
class SegmentOrder:
    """What to segment. Several boxes are several objects; clicks belong to the only box or are one object together.

    all_masks: keep the three answers to a single click, not just the best.
    """

    image: Path
    click: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    box: tuple[str, ...] = ()
    all_masks: bool = False

    def check(self, *targets: Path | None) -> None:
        """Raise ValueError for an order that cannot be carried out, before anything is loaded."""
        if not any(targets):
            raise ValueError("nothing to write: give --out mask.png or --overlay picture.jpg")
        for target in targets:
            if target is not None and target.suffix.lower() not in (".png", ".jpg", ".jpeg"):
                raise ValueError(f"pictures are written as .png or .jpg, got {target.name!r}")
        if targets and targets[0] is not None and targets[0].suffix.lower() != ".png":
            raise ValueError(f"--out must end in .png: JPEG would blur the mask; got {targets[0].name!r}")
        if not (self.click or self.box):
            raise ValueError("nothing to segment: give --click x,y or --box x1,y1,x2,y2")
        if len(self.box) > 1 and (self.click or self.exclude):
            raise ValueError("with several --box it is not clear whose clicks these are: give one box, or no clicks")
        if self.all_masks and (self.box or len(self.click + self.exclude) > 1):
            raise ValueError("--all is for a single --click: with more prompts there is one answer")
        if len(self.box) > MOST_LABELS:
            raise ValueError(f"at most {MOST_LABELS} boxes fit into one label map, got {len(self.box)}")
        for name, texts, count in (("click", self.click + self.exclude, 2), ("box", self.box, 4)):
            for text in texts:
                numbers(name, text, count)

    def ask(self, predictor: SAM2ImagePredictor) -> tuple[np.ndarray, np.ndarray]:
        """The answer to the prompts -> masks (N, H, W) bool, best first, and scores (N,)"""
        points = [numbers("click", text, 2) for text in self.click + self.exclude]
        labels = [1] * len(self.click) + [0] * len(self.exclude)
        boxes = [numbers("box", text, 4) for text in self.box]
        ambiguous = len(points) == 1 and not boxes
        clicks = {"point_coords": points, "point_labels": labels} if points else {}
        box = (boxes if len(boxes) > 1 else boxes[0]) if boxes else None
        masks, scores, _ = predictor.predict(**clicks, box=box, multimask_output=ambiguous)
        if len(boxes) > 1:
            return masks[:, 0], scores[:, 0]
        order = np.argsort(-scores)[: None if self.all_masks else 1]
        return masks[order], scores[order]


def run_segment_order(
    order: SegmentOrder, model: SAM2, out: Path | None = None, overlay: Path | None = None
) -> Iterator[str]:
    """Carry out an order -> lines that say what was found and written"""
    picture = to_rgb_uint8(order.image)
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(picture)
    masks, scores = order.ask(predictor)
    for number, (mask, score) in enumerate(zip(masks, scores, strict=True), start=1):
        yield f"mask {number}: score {score:.3f}, {mask.mean():.1%} of the picture"
    if out is not None:
        yield str(_write(label_map(masks), out))
    if overlay is not None:
        yield str(_write(draw_masks(picture, masks), overlay))


def label_map(masks: np.ndarray) -> np.ndarray:
    """(N, H, W) bool -> (H, W) uint8: 255 inside a single mask; 1, 2, … for several, small ones on top"""
    if len(masks) == 1:
        return masks[0].astype(np.uint8) * 255
    labels = np.zeros(masks.shape[1:], np.uint8)
    for index in np.argsort([-mask.sum() for mask in masks]):
        labels[masks[index]] = index + 1
    return labels


def _write(picture: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=92)
    return path
