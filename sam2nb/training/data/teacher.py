"""The teacher: the genuine SAM 2 tiny weights give every photograph features and masks.

The features are what the small trunk learns to produce (distillation). The masks are pseudo-labels: a grid of clicks,
three masks each, of which the stable and distinct ones are kept, as the data engine of SAM 2 (arXiv 2408.00714,
section 5) lets a model propose masks.

Both are kept on disk and memory-mapped, so training reads a crop without loading the rest and labelling can be
interrupted.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from sam2nb.masks.measure import pairwise_iou, stability_score
from sam2nb.media.images import normalise
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import INCLUDE_LABEL, MASK_STRIDE, ImageFeatures, Prompts

logger = logging.getLogger(__name__)

TEACHER_SIDE = 512  # half the official input: a quarter of the cost, nearly the same masks
MASK_SIDE = TEACHER_SIDE // MASK_STRIDE
MAX_MASKS = 24  # per photograph
CLICKS_PER_SIDE = 5
MIN_IOU, MIN_STABILITY, MAX_OVERLAP = 0.75, 0.85, 0.75
STABILITY_OFFSET = 1.0
AREA_RANGE = (0.0008, 0.8)  # of the image
PART = (0.35, 0.65)  # of a photograph's sides, shown by the views after the first
CLICKS_PER_BATCH = 12
NOT_LABELLED, UNREADABLE = -1, -2  # in `counts`

ARRAYS = {  # name -> (shape of one photograph, dtype)
    "images": ((TEACHER_SIDE, TEACHER_SIDE, 3), np.uint8),
    "embedding": ((256, TEACHER_SIDE // 16, TEACHER_SIDE // 16), np.float16),
    "high_res_0": ((32, TEACHER_SIDE // 4, TEACHER_SIDE // 4), np.float16),
    "high_res_1": ((64, TEACHER_SIDE // 8, TEACHER_SIDE // 8), np.float16),
    "masks": ((MAX_MASKS, MASK_SIDE * MASK_SIDE // 8), np.uint8),  # one bit a pixel
    "counts": ((), np.int16),  # masks of this photograph, or NOT_LABELLED, or UNREADABLE
}


@dataclass(frozen=True)
class LabelledPhotos:
    """N photographs with the teacher's features and masks, as memory maps; see ARRAYS for their shapes."""

    images: NDArray[np.uint8]
    embedding: NDArray[np.float16]
    high_res_0: NDArray[np.float16]
    high_res_1: NDArray[np.float16]
    masks: NDArray[np.uint8]
    counts: NDArray[np.int16]
    names: tuple[str, ...]

    def ready(self) -> NDArray[np.int64]:
        """Indices of the photographs already labelled."""
        return np.flatnonzero(np.asarray(self.counts) >= 0)

    def masks_of(self, index: int) -> NDArray[np.bool_]:
        """-> (count, 128, 128)"""
        packed = self.masks[index, : max(int(self.counts[index]), 0)]
        return np.unpackbits(packed, axis=-1).reshape(-1, MASK_SIDE, MASK_SIDE).astype(bool)


def open_labels(folder: Path) -> LabelledPhotos:
    """Memory-map the labels in `folder`; FileNotFoundError if they were not made yet."""
    folder = Path(folder)
    if not (folder / "names.txt").exists():
        raise FileNotFoundError(f"{folder} holds no labelled photographs; run `python -m sam2nb train --prepare` first")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return LabelledPhotos(**arrays, names=tuple((folder / "names.txt").read_text().split("\n")))


def label_photos(model: SAM2, paths: Sequence[Path], folder: Path, *, views: int = 1) -> None:
    """Label photographs with the teacher; those already labelled in `folder` are skipped.

    model: the genuine weights, built with image_size=512 and in eval mode.
    views: rows per photograph: the whole first, then parts of it, where small objects are large. Row r belongs to
        photograph r // views.
    Raises ValueError if the folder was begun with other photographs or views.
    """
    folder = Path(folder)
    rows = [(path, view) for path in paths for view in range(views)]
    names = "\n".join(f"{path.name}#{view}" if view else path.name for path, view in rows)
    arrays = _open_or_create(folder, names, len(rows))
    for index, (path, view) in enumerate(tqdm(rows, desc="teacher")):
        if arrays["counts"][index] != NOT_LABELLED:
            continue
        try:
            image = read_view(path, TEACHER_SIDE, view)
        except OSError as error:
            logger.warning("skipping photograph %s: %s", path, error)
            arrays["counts"][index] = UNREADABLE
            continue
        features, masks = label_image(model, image)
        arrays["images"][index] = image
        arrays["embedding"][index] = features.embedding[0].cpu().numpy()
        arrays["high_res_0"][index] = features.high_res[0][0].cpu().numpy()
        arrays["high_res_1"][index] = features.high_res[1][0].cpu().numpy()
        arrays["masks"][index, : len(masks)] = np.packbits(masks.reshape(len(masks), MASK_SIDE**2), axis=-1)
        arrays["counts"][index] = len(masks)  # last, because it marks the photograph as done


def _open_or_create(folder: Path, names: str, count: int) -> dict[str, NDArray]:
    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / "names.txt"
    if listing.exists():
        if listing.read_text() != names:
            raise ValueError(f"{folder} was made from other photographs; delete it or choose another folder")
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in ARRAYS}
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=(count, *shape))
        for name, (shape, dtype) in ARRAYS.items()
    }
    arrays["counts"][:] = NOT_LABELLED
    listing.write_text(names)
    return arrays


def read_view(path: Path, side: int, view: int = 0) -> NDArray[np.uint8]:
    """Read an image, or a part of it, stretched to a square as the model sees it: -> (side, side, 3) RGB"""
    with Image.open(path) as image:
        image.draft("RGB", (2 * side, 2 * side) if view == 0 else (4 * side, 4 * side))  # decodes less of a JPEG
        part = view_box(path.name, view, image.size)
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BOX, box=part, reducing_gap=2.0))


def view_box(name: str, view: int, size_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part that a view shows, as (x1, y1, x2, y2): the whole for view 0, always the same part for the others."""
    if view == 0:
        return (0, 0, *size_wh)
    rng = np.random.default_rng((zlib.crc32(name.encode()), view))
    sides = rng.uniform(*PART) * np.exp(rng.uniform(-0.1, 0.1, 2)) * size_wh
    corner = rng.uniform(0, 1, 2) * (size_wh - sides)
    return tuple(float(value) for value in (*corner, *(corner + sides)))


def to_pixels(images: NDArray[np.uint8]) -> Tensor:
    """Images of the model's size as its input: (B, S, S, 3) uint8 -> (B, 3, S, S) float32, normalised"""
    return normalise(torch.tensor(images).permute(0, 3, 1, 2).float().div_(255))


@torch.inference_mode()
def label_image(model: SAM2, image: NDArray[np.uint8]) -> tuple[ImageFeatures, NDArray[np.bool_]]:
    """image: (512, 512, 3) -> features, and distinct masks (n, 128, 128), best first"""
    features, masks = label_pixels(model, to_pixels(image[None]), CLICKS_PER_SIDE, CLICKS_PER_BATCH)
    return features, masks.cpu().numpy()


def label_pixels(
    model: SAM2, pixels: Tensor, clicks_per_side: int, clicks_per_batch: int, precision: torch.dtype = torch.float32
) -> tuple[ImageFeatures, Tensor]:
    """A grid of clicks on one image (1, 3, S, S), normalised -> features, and distinct masks (n, h, w), best first

    precision: what the model computes in.
    """
    ticks = (torch.arange(clicks_per_side) + 0.5) * model.image_size / clicks_per_side
    points = torch.cartesian_prod(ticks, ticks)[:, None].to(model.device)
    labels = torch.full((len(points), 1), INCLUDE_LABEL, dtype=torch.int32, device=model.device)
    logits, ious = [], []
    with torch.autocast(model.device.type, dtype=precision, enabled=precision != torch.float32):
        features = model.encode_image(pixels.to(model.device))
        conditioned = model.recall(features)
        for rows in torch.arange(len(points)).split(clicks_per_batch):
            prompts = Prompts(points[rows], labels[rows])
            prediction = model.predict_masks(conditioned, features.high_res, prompts, multimask=True)
            logits.append(prediction.logits.float().flatten(0, 1))
            ious.append(prediction.iou.float().flatten())
    return features, distinct_masks(torch.cat(logits), torch.cat(ious))


def distinct_masks(logits: Tensor, ious: Tensor) -> Tensor:
    """Keep confident and stable masks, one of each region: (N, h, w), (N,) -> (n <= 24, h, w) bool"""
    stable = stability_score(logits, offset=STABILITY_OFFSET) >= MIN_STABILITY
    masks = logits > 0
    area = masks.float().mean((1, 2))
    good = (ious > MIN_IOU) & stable & (area > AREA_RANGE[0]) & (area < AREA_RANGE[1])
    order = torch.nonzero(good).flatten()[ious[good].argsort(descending=True)]
    masks = masks[order]
    overlap = pairwise_iou(masks, masks)
    kept: list[int] = []
    for index in range(len(masks)):
        if len(kept) < MAX_MASKS and all(overlap[index, other] < MAX_OVERLAP for other in kept):
            kept.append(index)
    return masks[kept]
