"""Lessons on disk: features of a frozen encoder, prompts, and right answers.

A decoder then learns from them without encoding an image, which a CPU can do. There are lessons on photographs, with a
teacher's answers to clicks and boxes; on composed scenes, with exact masks; and on frames of composed clips, with what
the decoder said before, so that tracking stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam2nb.masks.measure import iou, mask_boxes
from sam2nb.media.images import normalise
from sam2nb.model.mask_decoder import take_best
from sam2nb.model.memory_bank import MemoryBank
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import BOX_CORNER_LABELS, MASK_STRIDE, ImageFeatures, MaskPrediction, Prompts
from sam2nb.training.data.batches import ClipBatch
from sam2nb.training.data.scenes import MIN_AREA, compose_scene
from sam2nb.training.data.stock import Stock
from sam2nb.training.data.teacher import distinct_masks
from sam2nb.training.distillation import covered, one_click
from sam2nb.training.simulated_user import boxes_around
from sam2nb.training.step import TrainingStep

LARGE_BOXES = 5  # of a photograph, placed at random: most objects found by clicks are small
LARGE_BOX_SIDE = (0.3, 1.0)  # of the image's sides
SURE_IOU, SAME_IOU = 0.75, 0.7  # predicted IoU of a box's mask; its IoU with the mask or box that it was asked for
MAX_OBJECTS = 12  # of a photograph
PART = (0.45, 0.85)  # of the sides of an image
IN_BYTES = ("truth", "answers", "pixels")  # fields of a lesson that are kept in 256 levels


@dataclass(frozen=True)
class Lesson:
    """One image with N objects; a field that a lesson lacks is empty.

    embedding: (1 or N, 256, h, w); remembers: whether memories are in it already. high_res: as in ImageFeatures.
    truth: (N, 4h, 4w) in 0..1. clicks: (M, 2) in 0..1, with the teacher's three masks, answers (M, 3, 4h, 4w) in 0..1,
    and its estimates of them, quality (M, 3). mask_prompts: (N, 1, 4h, 4w), what the decoder reads of given masks.
    pointers: (N, 256), the object pointers before training. pixels: (1, 3, 16h, 16w) in 0..1, the image itself.
    """

    embedding: Tensor
    high_res_0: Tensor
    high_res_1: Tensor
    truth: Tensor
    clicks: Tensor
    answers: Tensor
    quality: Tensor
    mask_prompts: Tensor
    pointers: Tensor
    remembers: Tensor
    pixels: Tensor

    @property
    def high_res(self) -> tuple[Tensor, Tensor]:
        """The two finer maps, as the mask decoder takes them."""
        return self.high_res_0, self.high_res_1

    @property
    def side(self) -> int:
        """The input size of the encoder."""
        return self.high_res_0.shape[-1] * MASK_STRIDE

    def save(self, file: Path) -> None:
        """Write as a file, features in half precision and masks in 256 levels; the file is whole or absent."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, part in parts.items():
            small = (part * 255).round().byte() if name in IN_BYTES else part.half()
            parts[name] = small.cpu().contiguous()
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        save_file(parts, partial)
        os.replace(partial, file)

    @classmethod
    def load(cls, file: Path) -> Lesson:
        """Read what `save` wrote, in float32."""
        parts = load_file(file)
        return cls(
            **{k: part.float() / 255 if part.dtype == torch.uint8 else part.float() for k, part in parts.items()}
        )


def new_lesson(features: ImageFeatures, truth: Tensor, **others: Tensor) -> Lesson:
    """A lesson of features and true masks (N, 4h, 4w) in 0..1; what else it holds, by name."""
    height, width = truth.shape[-2:]
    empty = {
        "clicks": torch.zeros(0, 2),
        "answers": torch.zeros(0, 3, height, width),
        "quality": torch.zeros(0, 3),
        "mask_prompts": torch.zeros(0, 1, height, width),
        "pointers": torch.zeros(0, 256),
        "remembers": torch.zeros(1),
        "pixels": torch.zeros(0, 3, MASK_STRIDE * height, MASK_STRIDE * width),
    }
    return Lesson(features.embedding, *features.high_res, truth.float(), **empty | others)


@torch.inference_mode()
def photo_lesson(
    rng: np.random.Generator, teacher: SAM2, image: Tensor, side: int, clicks_per_side: int, precision: torch.dtype
) -> Lesson:
    """Ask a teacher about a photograph: a jittered grid of clicks, then boxes around what was found.

    image: (1, 3, H, H) in 0..1, at any size. Random large boxes are asked for too. precision: of the teacher.
    side: the lesson's; its features are the teacher's, averaged to the size that belongs to this side.
    """
    cells = np.stack(np.meshgrid(*[np.arange(clicks_per_side)] * 2), -1).reshape(-1, 2)
    clicks = torch.from_numpy((cells + rng.random(cells.shape)) / clicks_per_side).float()
    with torch.autocast(teacher.device.type, dtype=precision, enabled=precision != torch.float32):
        seen = teacher.encode_image(normalise(_resized(image, teacher.image_size)))
        answers = ask(teacher, seen, one_click(clicks, teacher.image_size), multimask=True)
        found = distinct_masks(answers.logits.flatten(0, 1), answers.iou.flatten())[:MAX_OBJECTS]
        tight = boxes_around(rng, found, noise=0.0).points if len(found) else torch.zeros(0, 2, 2)
        corners = torch.cat((tight, _random_boxes(rng) * teacher.image_size))
        labels = torch.tensor(BOX_CORNER_LABELS, dtype=torch.int32).expand(len(corners), -1)
        boxed = ask(teacher, seen, Prompts(corners, labels), multimask=False)
    truth = covered(boxed.logits[_as_asked(boxed, found, corners), 0], side // MASK_STRIDE)
    answered = {"clicks": clicks, "answers": covered(answers.logits, side // MASK_STRIDE), "quality": answers.iou}
    return new_lesson(pooled(seen, side), truth, pixels=_resized(image, side), **answered)


def pooled(features: ImageFeatures, side: int) -> ImageFeatures:
    """Features averaged to the size of those of a smaller input."""
    maps = (features.embedding, *features.high_res)
    factor = maps[1].shape[-1] * MASK_STRIDE // side
    embedding, *high_res = (F.avg_pool2d(level.float(), factor) for level in maps)
    return ImageFeatures(embedding, features.position, tuple(high_res))


@torch.inference_mode()
def seen_by(model: SAM2, lesson: Lesson, mirrored: bool) -> Lesson:
    """The lesson for another model: with its features and masks of its size, mirrored or not."""
    side = model.image_size // MASK_STRIDE
    lesson = mirror(lesson) if mirrored else lesson
    features = model.encode_image(normalise(_resized(lesson.pixels, model.image_size)))
    truth, answers = (F.adaptive_avg_pool2d(masks, side) for masks in (lesson.truth, lesson.answers))
    return new_lesson(features, truth, clicks=lesson.clicks, answers=answers, quality=lesson.quality)


def mirror(lesson: Lesson) -> Lesson:
    """The image and what is known of it, left to right; the features stay, they are another model's."""
    clicks = torch.stack((1 - lesson.clicks[:, 0], lesson.clicks[:, 1]), 1)
    flipped = {name: getattr(lesson, name).flip(-1) for name in IN_BYTES}
    return replace(lesson, clicks=clicks, **flipped)


def part_of(rng: np.random.Generator, lesson: Lesson) -> Lesson:
    """A part of the image, enlarged to the size of the whole, with the objects and clicks in it."""
    cells = lesson.truth.shape[-1]
    size = int(rng.uniform(*PART) * cells)
    top, left = (int(rng.integers(cells - size + 1)) for _ in range(2))

    def cut(maps: Tensor, stride: int) -> Tensor:
        rows, columns = (slice(start * stride, (start + size) * stride) for start in (top, left))
        return F.interpolate(maps[..., rows, columns], size=maps.shape[-2:], mode="bilinear")

    truth = cut(lesson.truth[:, None], 1)[:, 0]
    clicks = (lesson.clicks * cells - torch.tensor([left, top])) / size
    inside = ((clicks > 0) & (clicks < 1)).all(1)
    return replace(
        lesson,
        pixels=cut(lesson.pixels, MASK_STRIDE),
        truth=truth[truth.gt(0.5).float().mean((1, 2)) > MIN_AREA],
        clicks=clicks[inside],
        answers=cut(lesson.answers[inside], 1),
        quality=lesson.quality[inside],
    )


def ask(model: SAM2, features: ImageFeatures, prompts: Prompts, multimask: bool) -> MaskPrediction:
    """Predict on one image without memories, in float32."""
    found = model.predict_masks(model.recall(features), features.high_res, prompts, multimask)
    return MaskPrediction(found.logits.float(), found.iou.float(), found.tokens, found.object_score)


def _resized(pixels: Tensor, side: int) -> Tensor:
    return F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)


def _random_boxes(rng: np.random.Generator) -> Tensor:
    """-> corners (5, 2, 2) in 0..1"""
    sides = rng.uniform(*LARGE_BOX_SIDE, (LARGE_BOXES, 2))
    start = rng.random((LARGE_BOXES, 2)) * (1 - sides)
    return torch.from_numpy(np.stack((start, start + sides), 1)).float()


def _as_asked(boxed: MaskPrediction, found: Tensor, corners: Tensor) -> Tensor:
    """Which masks of boxes may be the truth: those like the mask (K, h, w) or, for the others, the box asked for."""
    masks = boxed.logits[:, 0] > 0
    by_mask, by_box = masks.split((len(found), len(masks) - len(found)))
    extent, asked = mask_boxes(by_box), corners[len(found) :].flatten(1) / MASK_STRIDE
    start, end = torch.maximum(extent[:, :2], asked[:, :2]), torch.minimum(extent[:, 2:], asked[:, 2:])
    shared = (end - start).clamp(min=0).prod(1)
    areas = [(box[:, 2:] - box[:, :2]).prod(1) for box in (extent, asked)]
    overlap = torch.cat((iou(by_mask, found), shared / (sum(areas) - shared)))
    return (boxed.iou[:, 0] > SURE_IOU) & (overlap > SAME_IOU) & masks.any(-1).any(-1)


@torch.inference_mode()
def scene_lesson(rng: np.random.Generator, model: SAM2, stock: Stock) -> Lesson:
    """A composed still with its visible objects, of which there is at least one."""
    visible = torch.zeros(0)
    while not len(visible):
        scene = compose_scene(rng, stock, 1, model.image_size)
        visible = scene.masks[0][scene.masks[0].float().mean((1, 2)) > MIN_AREA]
    truth = F.avg_pool2d(visible.float(), MASK_STRIDE)
    return new_lesson(model.encode_image(normalise(scene.images)), truth)


@torch.inference_mode()
def clip_lessons(model: SAM2, clip: ClipBatch) -> Iterator[Lesson]:
    """One lesson a frame: the first prompted by masks, the others tracked from them; all objects are in one clip."""
    step, bank = TrainingStep(model), MemoryBank()
    for t, features in enumerate(step.encode_frames(clip)):
        image = features.rows(slice(1))
        if t == 0:
            best, pointer = model.predict_from_mask(features, clip.first_masks)
            prompts = model.mask_downsample(clip.first_masks)
            yield new_lesson(image, clip.truth[0], mask_prompts=prompts, pointers=pointer)
        else:
            conditioned = step.conditioned(features, bank, t)
            padding = Prompts.padding(len(conditioned), conditioned.device)
            best = take_best(model.predict_masks(conditioned, features.high_res, padding, multimask=True))
            pointer = model.object_pointer(best.tokens[:, 0], best.object_score)
            seen = ImageFeatures(conditioned, image.position, image.high_res)
            yield new_lesson(seen, clip.truth[t], pointers=pointer, remembers=torch.ones(1))
        step.remember(bank, t, features, best, best.object_score, pointer)
