"""Batches of labelled photographs, composed stills and clips, the same for every (seed, step).

No random state is kept between steps: the generator of a step is made from the seed, the step and the process. So an
interrupted run continues with exactly the batches it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2nb.structures import MASK_STRIDE, ImageFeatures
from sam2nb.training.data.compose import MAX_OBJECTS, Materials, add_camera_effects, compose_clip, compose_still
from sam2nb.training.data.teacher import TEACHER_SIDE, to_pixels

OBJECTS_PER_STILL = 3
MIN_MASK_PIXELS = 12  # smaller objects are not trained on
WHOLE_PHOTO = 0.35  # probability that a crop is the whole photograph


@dataclass(frozen=True)
class TeacherFeatures:
    """The teacher's features of B crops, at the student's strides."""

    embedding: Tensor  # (B, 256, h, w)
    high_res: tuple[Tensor, Tensor]  # (B, 32, 4h, 4w), (B, 64, 2h, 2w)


@dataclass(frozen=True)
class StillBatch:
    """B images with N objects.

    pixels: (B, 3, S, S), normalised. image_index: (N,), the image of each object. truth: (N, S/4, S/4) in 0..1.
    teacher: features of the first images of the batch, or None.
    features: of all images, if a frozen encoder has computed them already.
    """

    pixels: Tensor
    image_index: Tensor
    truth: Tensor
    teacher: TeacherFeatures | None = None
    features: ImageFeatures | None = None


@dataclass(frozen=True)
class ClipBatch:
    """B clips of T frames with N objects.

    pixels: (T, B, 3, S, S), normalised. clip_index: (N,), the clip of each object. truth: (T, N, S/4, S/4) in 0..1.
    first_masks: (N, 1, S, S), 0 or 1, on the first frame.
    """

    pixels: Tensor
    clip_index: Tensor
    truth: Tensor
    first_masks: Tensor


@dataclass(frozen=True)
class Crop:
    """A part of a labelled photograph: its box in pixels of the teacher's input, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool

    def grid(self, size: int) -> Tensor:
        """Sampling positions for `grid_sample`: -> (1, size, size, 2) in -1..1"""
        cells = (torch.arange(size) + 0.5) / size
        y = (self.top + cells * self.height) / TEACHER_SIDE * 2 - 1
        x = (self.left + cells * self.width) / TEACHER_SIDE * 2 - 1
        x = x.flip(0) if self.mirrored else x
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]

    def of_map(self, array: NDArray, size: int) -> Tensor:
        """The crop of a map of the whole photograph: (C, H, W) -> (C, size, size) float32"""
        source = torch.from_numpy(np.asarray(array, dtype=np.float32))[None]
        return F.grid_sample(source, self.grid(size), mode="bilinear", padding_mode="border", align_corners=False)[0]

    def of_image(self, image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """The crop of the photograph itself: (H, W, 3) -> (size, size, 3)"""
        crop = np.asarray(image)[self.top : self.top + self.height, self.left : self.left + self.width]
        how = cv2.INTER_AREA if self.height > size else cv2.INTER_LINEAR
        crop = cv2.resize(crop, (size, size), interpolation=how)
        return crop[:, ::-1] if self.mirrored else crop


def generator(seed: int, step: int, *purpose: int) -> np.random.Generator:
    """The only source of randomness of one step; purpose: which of its generators, and of which process."""
    return np.random.default_rng((seed, step, *purpose))


def shrink(masks: NDArray[np.bool_]) -> Tensor:
    """(..., S, S) bool -> (..., S/4, S/4), the fraction of every cell that is inside"""
    flat = torch.from_numpy(np.ascontiguousarray(masks)).float().flatten(0, -3)
    return F.avg_pool2d(flat[:, None], MASK_STRIDE)[:, 0].unflatten(0, masks.shape[:-2])


def random_crop(rng: np.random.Generator, side: int) -> Crop:
    """The whole photograph or a part of it, at least half of `side` large; mirrored half of the time."""
    if rng.random() < WHOLE_PHOTO:
        return Crop(0, 0, TEACHER_SIDE, TEACHER_SIDE, mirrored=rng.random() < 0.5)
    area = rng.uniform(0.3, 1.0)
    ratio = np.exp(rng.uniform(-0.25, 0.25))
    height = int(np.clip(TEACHER_SIDE * np.sqrt(area * ratio), side // 2, TEACHER_SIDE))
    width = int(np.clip(TEACHER_SIDE * np.sqrt(area / ratio), side // 2, TEACHER_SIDE))
    top, left = int(rng.integers(TEACHER_SIDE - height + 1)), int(rng.integers(TEACHER_SIDE - width + 1))
    return Crop(top, left, height, width, mirrored=rng.random() < 0.5)


def photo_still(
    rng: np.random.Generator, materials: Materials, index: int, side: int, with_masks: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], TeacherFeatures]:
    """One crop of a labelled photograph -> image (S, S, 3), masks (K, S, S), the teacher's features (batch 1)"""
    crop, labels = random_crop(rng, side), materials.labels
    image = add_camera_effects(rng, crop.of_image(labels.images[index], side)[None].astype(np.float32))[0]
    teacher = TeacherFeatures(
        crop.of_map(labels.embedding[index], side // 16)[None],
        (
            crop.of_map(labels.high_res_0[index], side // 4)[None],
            crop.of_map(labels.high_res_1[index], side // 8)[None],
        ),
    )
    if not with_masks:
        return image, np.zeros((0, side, side), bool), teacher
    masks = crop.of_map(labels.masks_of(index).astype(np.float32), side).numpy() > 0.5
    return image, masks, teacher


@dataclass
class _Stills:
    """Images of a batch, as they are collected, with up to `objects` objects each."""

    objects: int
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    image_index: list[int] = field(default_factory=list)
    truths: list[Tensor] = field(default_factory=list)
    teachers: list[TeacherFeatures] = field(default_factory=list)

    def add(self, rng: np.random.Generator, image: NDArray[np.uint8], masks: NDArray[np.bool_]) -> None:
        """Add an image (S, S, 3) and a random choice of its objects (K, S, S) that are large enough."""
        self.images.append(image)
        if not self.objects or not len(masks):
            return
        truth = shrink(masks)
        chosen = rng.permutation(np.flatnonzero(_large_enough(truth)))[: self.objects]
        self.truths.append(truth[torch.from_numpy(chosen)])
        self.image_index.extend([len(self.images) - 1] * len(chosen))

    def batch(self, side: int) -> StillBatch:
        """Join what was collected."""
        grid = side // MASK_STRIDE
        return StillBatch(
            pixels=to_pixels(np.stack(self.images)),
            image_index=torch.tensor(self.image_index, dtype=torch.long),
            truth=torch.cat(self.truths) if self.truths else torch.zeros(0, grid, grid),
            teacher=_concatenate(self.teachers) if self.teachers else None,
        )


def still_batch(
    rng: np.random.Generator,
    materials: Materials,
    *,
    photos: int,
    composed: int,
    side: int,
    objects: int = OBJECTS_PER_STILL,
) -> StillBatch:
    """Photographs first (with the teacher's features and masks), then composed images (with exact masks).

    objects: the most objects of one image; 0 for a batch that trains features alone.
    """
    stills = _Stills(objects)
    for _ in range(photos):
        index = int(rng.choice(materials.photos))
        image, masks, teacher = photo_still(rng, materials, index, side, with_masks=objects > 0)
        stills.teachers.append(teacher)
        stills.add(rng, image, masks)
    for _ in range(composed):
        image, masks = compose_still(rng, materials, side)
        while objects and not _large_enough(shrink(masks)).any():
            image, masks = compose_still(rng, materials, side)
        stills.add(rng, image, masks)
    return stills.batch(side)


def _large_enough(truth: Tensor) -> NDArray[np.bool_]:
    """Which objects (K, h, w) cover enough mask pixels to be trained on."""
    return ((truth > 0.5).sum((1, 2)) >= MIN_MASK_PIXELS).numpy()


def _concatenate(teachers: list[TeacherFeatures]) -> TeacherFeatures:
    return TeacherFeatures(
        torch.cat([teacher.embedding for teacher in teachers]),
        tuple(torch.cat([teacher.high_res[level] for teacher in teachers]) for level in (0, 1)),
    )


def clip_batch(rng: np.random.Generator, materials: Materials, *, clips: int, frames: int, side: int) -> ClipBatch:
    """Composed clips with up to three objects each."""
    images, masks, clip_index = [], [], []
    for clip in range(clips):
        frames_of_clip, found = compose_clip(rng, materials, side, frames)
        large = np.flatnonzero(found[0].sum((1, 2)) >= MIN_MASK_PIXELS * MASK_STRIDE**2)
        chosen = rng.permutation(large if len(large) else np.arange(found.shape[1]))[:MAX_OBJECTS]
        images.append(frames_of_clip)
        masks.append(found[:, chosen])
        clip_index.extend([clip] * len(chosen))
    together = np.concatenate(masks, axis=1)
    return ClipBatch(
        pixels=torch.stack([to_pixels(np.stack([clip[t] for clip in images])) for t in range(frames)]),
        clip_index=torch.tensor(clip_index, dtype=torch.long),
        truth=shrink(together),
        first_masks=torch.from_numpy(together[0]).float()[:, None],
    )
