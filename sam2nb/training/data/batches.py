"""Batches: crops of labelled photographs, composed stills, composed clips; the same for the same (seed, step).

Nothing random is kept between steps: the generator of a step is made from the seed, the step and the process. So a run
that was killed goes on with exactly the batches it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2nb.structures import ImageFeatures
from sam2nb.training.data.compose import MAX_OBJECTS, Materials, compose_clip, compose_still, finish
from sam2nb.training.data.teacher import TEACHER_SIDE, normalise

MASK_STRIDE = 4
OBJECTS_PER_STILL = 3
MIN_CELLS = 12  # mask pixels: what is smaller on the grid is not asked for


@dataclass(frozen=True)
class TeacherFeatures:
    """What the teacher saw on B crops, at the student's strides."""

    embedding: Tensor  # (B, 256, h, w)
    high_res: tuple[Tensor, Tensor]  # (B, 32, 4h, 4w), (B, 64, 2h, 2w)


@dataclass(frozen=True)
class StillBatch:
    """pixels: (B, 3, S, S); picture: (N,) which picture each object is on; truth: (N, S/4, S/4) in 0..1.

    teacher: features for the first pictures of the batch, or None. features: of all pictures, where they are known
    already because the encoder rests.
    """

    pixels: Tensor
    picture: Tensor
    truth: Tensor
    teacher: TeacherFeatures | None = None
    features: ImageFeatures | None = None


@dataclass(frozen=True)
class ClipBatch:
    """pixels: (T, B, 3, S, S); clip: (N,) which clip each object is in; truth: (T, N, S/4, S/4) in 0..1;
    first_masks: (N, 1, S, S), 0 or 1, of the first frame."""

    pixels: Tensor
    clip: Tensor
    truth: Tensor
    first_masks: Tensor


def generator(seed: int, step: int, *purpose: int) -> np.random.Generator:
    """The only source of chance of one step; purpose: which of its generators, and of which process."""
    return np.random.default_rng((seed, step, *purpose))


def shrink(masks: NDArray[np.bool_]) -> Tensor:
    """(..., S, S) bool -> (..., S/4, S/4), the part of every cell that is inside"""
    flat = torch.from_numpy(np.ascontiguousarray(masks)).float().flatten(0, -3)
    return F.avg_pool2d(flat[:, None], MASK_STRIDE)[:, 0].unflatten(0, masks.shape[:-2])


def photo_crop(rng: np.random.Generator, side: int) -> tuple[tuple[int, int, int, int], bool]:
    """-> (top, left, height, width) within the teacher's picture, mirrored or not. Half of the crops are the whole."""
    if rng.random() < 0.35:
        return (0, 0, TEACHER_SIDE, TEACHER_SIDE), rng.random() < 0.5
    area = rng.uniform(0.3, 1.0)
    ratio = np.exp(rng.uniform(-0.25, 0.25))
    height = int(np.clip(TEACHER_SIDE * np.sqrt(area * ratio), side // 2, TEACHER_SIDE))
    width = int(np.clip(TEACHER_SIDE * np.sqrt(area / ratio), side // 2, TEACHER_SIDE))
    top, left = int(rng.integers(TEACHER_SIDE - height + 1)), int(rng.integers(TEACHER_SIDE - width + 1))
    return (top, left, height, width), rng.random() < 0.5


def crop_grid(box: tuple[int, int, int, int], mirrored: bool, size: int) -> Tensor:
    """Sampling positions of a crop for `grid_sample`: -> (1, size, size, 2) in -1..1"""
    top, left, height, width = box
    cells = (torch.arange(size) + 0.5) / size
    y = (top + cells * height) / TEACHER_SIDE * 2 - 1
    x = (left + cells * width) / TEACHER_SIDE * 2 - 1
    x = x.flip(0) if mirrored else x
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]


def sample(array: NDArray, grid: Tensor) -> Tensor:
    """(C, H, W) -> (C, size, size) at the positions of a crop"""
    source = torch.from_numpy(np.asarray(array, dtype=np.float32))[None]
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


def photo_still(
    rng: np.random.Generator, materials: Materials, index: int, side: int, with_masks: bool
) -> tuple[NDArray, NDArray, TeacherFeatures]:
    """One crop of a labelled photograph -> image (S, S, 3), masks (K, S, S), the teacher's features (batch 1)"""
    box, mirrored = photo_crop(rng, side)
    top, left, height, width = box
    labels = materials.labels
    crop = np.asarray(labels.images[index])[top : top + height, left : left + width]
    image = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if height > side else cv2.INTER_LINEAR)
    image = finish(rng, (image[:, ::-1] if mirrored else image)[None].astype(np.float32))[0]
    teacher = TeacherFeatures(
        sample(labels.embedding[index], crop_grid(box, mirrored, side // 16))[None],
        (
            sample(labels.high_res_0[index], crop_grid(box, mirrored, side // 4))[None],
            sample(labels.high_res_1[index], crop_grid(box, mirrored, side // 8))[None],
        ),
    )
    if not with_masks:
        return image, np.zeros((0, side, side), bool), teacher
    masks = labels.masks_of(index)
    cropped = sample(masks.astype(np.float32), crop_grid(box, mirrored, side)).numpy() > 0.5
    return image, cropped, teacher


def feature_batch(rng: np.random.Generator, materials: Materials, size: int, side: int) -> StillBatch:
    """Crops of photographs with the teacher's features and no masks."""
    return still_batch(rng, materials, photos=size, composed=0, side=side, objects=0)


def still_batch(
    rng: np.random.Generator,
    materials: Materials,
    *,
    photos: int,
    composed: int,
    side: int,
    objects: int = OBJECTS_PER_STILL,
) -> StillBatch:
    """Photographs first (with the teacher's features and masks), then composed pictures (exact masks)."""
    images, truths, owners, teachers = [], [], [], []
    for _ in range(photos):
        index = int(rng.choice(materials.photos))
        image, masks, teacher = photo_still(rng, materials, index, side, with_masks=objects > 0)
        teachers.append(teacher)
        _collect(rng, images, truths, owners, image, masks, objects)
    for _ in range(composed):
        image, masks = compose_still(rng, materials, side)
        while objects and not _usable(shrink(masks)).any():
            image, masks = compose_still(rng, materials, side)
        _collect(rng, images, truths, owners, image, masks, objects)
    grid = side // MASK_STRIDE
    return StillBatch(
        pixels=normalise(np.stack(images)),
        picture=torch.tensor(owners, dtype=torch.long),
        truth=torch.cat(truths) if truths else torch.zeros(0, grid, grid),
        teacher=_together(teachers) if teachers else None,
    )


def _collect(rng, images: list, truths: list, owners: list, image: NDArray, masks: NDArray, objects: int) -> None:
    images.append(image)
    if not objects or not len(masks):
        return
    truth = shrink(masks)
    good = np.flatnonzero(_usable(truth))
    chosen = rng.permutation(good)[:objects]
    truths.append(truth[torch.from_numpy(chosen)])
    owners.extend([len(images) - 1] * len(chosen))


def _usable(truth: Tensor) -> NDArray[np.bool_]:
    """Which objects (K, h, w) are large enough on the grid to be asked for."""
    return ((truth > 0.5).sum((1, 2)) >= MIN_CELLS).numpy()


def _together(teachers: list[TeacherFeatures]) -> TeacherFeatures:
    return TeacherFeatures(
        torch.cat([teacher.embedding for teacher in teachers]),
        tuple(torch.cat([teacher.high_res[level] for teacher in teachers]) for level in (0, 1)),
    )


def clip_batch(rng: np.random.Generator, materials: Materials, *, clips: int, frames: int, side: int) -> ClipBatch:
    """Composed clips with up to three objects each."""
    images, masks, owners = [], [], []
    for clip in range(clips):
        pictures, found = compose_clip(rng, materials, side, frames)
        big = np.flatnonzero(found[0].sum((1, 2)) >= MIN_CELLS * MASK_STRIDE**2)
        chosen = rng.permutation(big if len(big) else np.arange(found.shape[1]))[:MAX_OBJECTS]
        images.append(pictures)
        masks.append(found[:, chosen])
        owners.extend([clip] * len(chosen))
    together = np.concatenate(masks, axis=1)
    return ClipBatch(
        pixels=torch.stack([normalise(np.stack([clip[t] for clip in images])) for t in range(frames)]),
        clip=torch.tensor(owners, dtype=torch.long),
        truth=shrink(together),
        first_masks=torch.from_numpy(together[0]).float()[:, None],
    )
