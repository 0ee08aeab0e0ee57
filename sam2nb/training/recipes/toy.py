"""Training without downloads: materials cut out of labelled pictures, and two pocket-size examples for notebook 08.

The real data engine (sources, teacher) needs package registries; these need the committed sample alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sam2nb.build import build_sam2
from sam2nb.evaluation.samples import LabelledImage, LabelledImages
from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.batches import StillBatch
from sam2nb.training.data.compose import Materials
from sam2nb.training.data.cutouts import CUTOUT_SIDE, CutOuts
from sam2nb.training.data.teacher import ARRAYS, MASK_SIDE, TEACHER_SIDE, LabelledPhotos
from sam2nb.training.simulated_user import boxes_around

TINY_SIDE = 96
CELL_HW = (256, 256)
NUCLEUS, MEMBRANE = 0.45, 0.07  # brightness over the background


def materials_of(samples: Sequence[LabelledImage], backgrounds: Sequence[NDArray[np.uint8]]) -> Materials:
    """Every labelled object becomes a cut-out, every background a photograph (its features and masks stay empty)."""
    pieces = [piece for sample in samples for mask in sample.masks if (piece := _cut(sample.image, mask)) is not None]
    if not pieces or not len(backgrounds):
        raise ValueError("materials need at least one labelled object and one background")
    rgba = np.zeros((len(pieces), CUTOUT_SIDE, CUTOUT_SIDE, 4), np.uint8)
    for row, piece in zip(rgba, pieces, strict=True):
        row[: piece.shape[0], : piece.shape[1]] = piece
    sizes = np.array([piece.shape[:2] for piece in pieces], np.int16)
    cutouts = CutOuts(rgba, sizes, np.full(len(pieces), 1 / len(pieces)))
    count = len(backgrounds)
    arrays = {name: np.zeros((0, *shape), dtype) for name, (shape, dtype) in ARRAYS.items()}
    arrays["images"] = np.stack([_square(image) for image in backgrounds])
    arrays["masks"] = np.zeros((count, 0, MASK_SIDE**2 // 8), np.uint8)
    arrays["counts"] = np.zeros(count, np.int16)
    labels = LabelledPhotos(**arrays, names=tuple(str(index) for index in range(count)))
    return Materials(cutouts, labels, np.arange(count), np.zeros((0, 8, 8, 3), np.uint8), photo_things=0.0)


def _square(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).convert("RGB").resize((TEACHER_SIDE, TEACHER_SIDE)))


def _cut(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) < 16 or len(columns) < 16:
        return None
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    rgba = np.dstack([image[part], mask[part].astype(np.uint8) * 255])
    scale = min(1.0, CUTOUT_SIDE / max(rgba.shape[:2]))
    return rgba if scale == 1 else cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def pocket_model() -> SAM2:
    """A SAM 2 of random weights that a CPU trains in a minute: nano's boxes, a narrow trunk, 96 pixels."""
    changes = {
        "++model.image_size": TINY_SIDE,
        "model.image_encoder.trunk.embed_dim": 24,
        "model.image_encoder.trunk.stages": "[1,1,1]",
        "model.image_encoder.trunk.global_blocks": "[2]",
        "model.image_encoder.neck.widths": "[24,48,96]",
    }
    overrides = [f"{name}={value}" for name, value in changes.items()]
    return build_sam2("sam2nb_nano", mode="train", device="cpu", hydra_overrides_extra=overrides)


@torch.inference_mode()
def likely_pixels(model: SAM2, batch: StillBatch) -> tuple[NDArray[np.float32], float]:
    """How well a young model ranks pixels, before its masks cross the threshold. Every object is asked for by its box.

    -> logits (N, h, w), and the mean IoU with the truth of as many most likely pixels as the object has
    """
    model.eval()
    truth = (batch.truth > 0.5).numpy()
    features = model.encode_image(batch.pixels)
    conditioned = model.recall(features)[batch.picture]
    high_res = tuple(level[batch.picture] for level in features.high_res)
    boxes = boxes_around(np.random.default_rng(0), truth, noise=0.0)
    logits = model.predict_masks(conditioned, high_res, boxes, multimask=False).logits[:, 0].numpy()
    ious = []
    for found, wanted in zip(logits, truth, strict=True):
        best = found > np.sort(found, axis=None)[-wanted.sum() - 1]
        ious.append((best & wanted).sum() / (best | wanted).sum())
    return logits, float(np.mean(ious))


def draw_cells(rng: np.random.Generator, count: int = 6) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture as from a microscope: bright nuclei in faint cells; the mask wanted is the *whole* cell.

    -> image (256, 256, 3) uint8, masks (N, 256, 256) bool that do not overlap
    """
    height, width = CELL_HW
    y, x = np.mgrid[:height, :width]
    light = 0.25 + 0.05 * cv2.GaussianBlur(rng.normal(0, 1, CELL_HW), (0, 0), 12) * 12
    taken, masks = np.zeros(CELL_HW, bool), []
    for _ in range(10 * count):
        cy, cx, size = *rng.uniform(30, height - 30, 2), rng.uniform(18, 32)
        turn, flat = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / flat
        radius = np.hypot(u, v) / (size * (1 + 0.08 * np.sin(3 * np.arctan2(v, u) + turn)))
        if (taken & (radius < 1.2)).any():
            continue
        masks.append(radius < 1)
        taken |= masks[-1]
        light = light + MEMBRANE * (radius < 1) + NUCLEUS * np.exp(-((radius / 0.35) ** 4))
        if len(masks) == count:
            break
    light = cv2.GaussianBlur(light, (0, 0), 1.2) + rng.normal(0, 0.04, CELL_HW)
    image = np.clip(light[..., None] * (200, 255, 210), 0, 255).astype(np.uint8)
    return image, np.stack(masks)


def cells(count: int, seed: int) -> LabelledImages:
    """So many pictures of cells, as a labelled set."""
    drawn = [draw_cells(np.random.default_rng((seed, index))) for index in range(count)]
    samples = {f"cells_{index}": LabelledImage(f"cells_{index}", *pair) for index, pair in enumerate(drawn)}
    return LabelledImages("drawn cells", tuple(samples), samples.__getitem__)


def write_cells(folder: str | Path, count: int, seed: int) -> Path:
    """The same as files, `images/` and `masks/`, the layout that `python -m sam2nb finetune` reads."""
    folder = Path(folder)
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for sample in cells(count, seed):
        labels = (sample.masks * np.arange(1, len(sample.masks) + 1)[:, None, None]).sum(0).astype(np.uint8)
        Image.fromarray(sample.image).save(folder / "images" / f"{sample.name}.png")
        Image.fromarray(labels).save(folder / "masks" / f"{sample.name}.png")
    return folder
