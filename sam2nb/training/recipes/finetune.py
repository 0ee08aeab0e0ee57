"""Fine-tuning: any checkpoint, adapted to your own images or clips by the training loop.

While the image encoder is frozen, every image is encoded only once (and once mirrored), and a step costs no more than
the mask decoder. So the tiny weights learn a dozen images within minutes on a CPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from sam2nb.evaluation.samples import LabelledClip, LabelledImages, SampleError
from sam2nb.media.images import to_model_input
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import ImageFeatures
from sam2nb.training.data.batches import ClipBatch, StillBatch, shrink
from sam2nb.training.loop import RunOptions, train
from sam2nb.training.phase import Phase
from sam2nb.training.step import TrainingStep
from sam2nb.weights.checkpoint import require_video_weights
from sam2nb.weights.fingerprint import weights_fingerprint

DECODER = ("sam_mask_decoder.", "sam_prompt_encoder.point_embeddings")
MEMORY = ("memory_attention.", "memory_encoder.", "maskmem", "obj_ptr", "no_obj", "no_mem_embed", "mask_downsample")
IMAGE_ENCODER = "image_encoder."
PARTS = {"decoder": DECODER, "memory": DECODER + MEMORY, "all": (*DECODER, *MEMORY, IMAGE_ENCODER)}
ENCODER_SLOWDOWN = 0.1  # of the image encoder, which has most to lose
OBJECTS = 4  # of one image or clip, in one step
FRAMES = 4  # of one clip, in one step
MAX_STRIDE = 3  # between the annotated frames of a step
ATTEMPTS = 50  # at a clip with an object on its first frame


def finetune(
    model: SAM2,
    data: LabelledImages | Sequence[LabelledClip],
    folder: str | Path,
    *,
    parts: str = "decoder",
    steps: int = 100,
    rate: float = 1e-4,
    rounds: int = 3,
    seed: int = 0,
) -> SAM2:
    """Adapt a model to labelled images or clips; returns it, changed, in eval mode.

    data: `open_images(...)` or `open_clips(...)`, see `sam2nb.evaluation.datasets` for the layouts.
    folder: where the run keeps its state and logs; an interrupted run of the same model, data and settings continues
        from there.
    parts: "decoder", "memory" (with the decoder; needs clips) or "all" (the image encoder too, at a tenth of the rate).
    rounds: predictions per conversation: a box or a click first, then up to rounds - 1 corrections.
    Raises ValueError for unknown parts, for memory without clips, for clips without video weights, for data without a
    usable object, and for a folder with another run.
    """
    are_clips = not isinstance(data, LabelledImages)
    _require_trainable(model, parts, are_clips)
    frozen_encoder = parts != "all"
    phase = Phase(
        name=f"finetune-{parts}",
        steps=steps,
        rates={key: rate * (ENCODER_SLOWDOWN if key == IMAGE_ENCODER else 1.0) for key in PARTS[parts]},
        warmup=min(10, steps // 10),
        rounds=rounds,
        frozen_encoder=frozen_encoder,
    )
    make_batch = ClipSampler(model, data) if are_clips else ImageSampler(model, data, frozen_encoder)
    options = RunOptions(seed=seed, ema=0.98, weight_decay=0.01)
    settings = {"parts": parts, "steps": steps, "rate": rate, "rounds": rounds, "seed": seed}
    settings |= {"input side": model.image_size, "data": make_batch.fingerprint, "weights": weights_fingerprint(model)}
    average = train(TrainingStep(model), [phase], make_batch, folder, options, device=model.device, settings=settings)
    model.load_state_dict(average.model.state_dict())
    return model.requires_grad_(True).eval()


def _require_trainable(model: SAM2, parts: str, are_clips: bool) -> None:
    if parts not in PARTS:
        raise ValueError(f"parts={parts!r}; expected one of {', '.join(PARTS)}")
    if parts == "memory" and not are_clips:
        raise ValueError('parts="memory" learns from clips; data are single images: use parts="decoder"')
    if are_clips:
        require_video_weights(model)


class ImageSampler:
    """Batches of one image each, mirrored half of the time, with some of its objects."""

    def __init__(self, model: SAM2, data: LabelledImages, frozen_encoder: bool) -> None:
        self.items: list[tuple[Tensor, ImageFeatures | None, NDArray[np.bool_]]] = []
        digest = hashlib.sha256()
        for name in tqdm(data.names, desc="encoding images", leave=False):
            sample = data.load(name)
            for part in (sample.image, sample.masks):
                digest.update(np.ascontiguousarray(part))
            self._add(model, sample.image, sample.masks, frozen_encoder)
            self._add(model, sample.image[:, ::-1], sample.masks[:, :, ::-1], frozen_encoder)
        if not self.items:
            raise ValueError(f"data {data.source!r} has no image with an object")
        self.fingerprint = digest.hexdigest()  # of images and masks

    def _add(self, model: SAM2, image: NDArray[np.uint8], masks: NDArray[np.bool_], frozen_encoder: bool) -> None:
        resized = resize_masks(masks, model.image_size)
        resized = resized[resized.any((1, 2))]
        if not len(resized):
            return
        pixels = to_model_input(np.ascontiguousarray(image), model.image_size).to(model.device)
        self.items.append((pixels, _encode(model, pixels) if frozen_encoder else None, resized))

    def __call__(self, rng: np.random.Generator, phase: Phase, step: int) -> StillBatch:
        pixels, features, masks = self.items[int(rng.integers(len(self.items)))]
        chosen = rng.permutation(len(masks))[:OBJECTS]
        image_index = torch.zeros(len(chosen), dtype=torch.long)
        return StillBatch(pixels, image_index, shrink(masks[chosen]), features=features)


class ClipSampler:
    """Batches of a few neighbouring annotated frames of one clip, half of the time backwards."""

    def __init__(self, model: SAM2, data: Sequence[LabelledClip]) -> None:
        self.side = model.image_size
        self.clips = [clip for clip in data if clip.objects and len(_common_frames(clip)) >= 2]
        if not self.clips:
            raise ValueError("data have no clip with two frames on which the same objects are annotated")
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(f"{clip.name} {clip.annotated} {[file.stat().st_size for file in clip.frames]}".encode())
            for frame in _common_frames(clip):
                digest.update(np.packbits([clip.mask(frame, obj_id) for obj_id in clip.objects]))
        self.fingerprint = digest.hexdigest()  # of masks, and the sizes of the files of frames

    def __call__(self, rng: np.random.Generator, phase: Phase, step: int) -> ClipBatch:
        for _ in range(ATTEMPTS):
            clip = self.clips[int(rng.integers(len(self.clips)))]
            frames = random_window(rng, _common_frames(clip))
            masks = np.stack([[clip.mask(t, k) for k in clip.objects] for t in frames])
            visible = np.flatnonzero(masks[0].any((1, 2)))[:OBJECTS]
            if len(visible) and len(frames) >= 2:
                return self._batch(clip, frames, masks[:, visible])
        raise SampleError(f"{ATTEMPTS} attempts without an object on the first frame: are the masks empty?")

    def _batch(self, clip: LabelledClip, frames: Sequence[int], masks: NDArray[np.bool_]) -> ClipBatch:
        resized = np.stack([resize_masks(found, self.side) for found in masks])
        return ClipBatch(
            pixels=torch.stack([to_model_input(clip.frame(t), self.side) for t in frames]),
            clip_index=torch.zeros(masks.shape[1], dtype=torch.long),
            truth=shrink(resized),
            first_masks=torch.from_numpy(resized[0]).float()[:, None],
        )


def random_window(rng: np.random.Generator, annotated: Sequence[int]) -> Sequence[int]:
    """Up to four of the annotated frames, equally spaced in the list, forwards or backwards."""
    stride = int(rng.integers(1, max(2, min(MAX_STRIDE + 1, len(annotated) // FRAMES + 1))))
    ordered = annotated[:: stride * int(rng.choice([-1, 1]))]
    start = int(rng.integers(max(1, len(ordered) - FRAMES + 1)))
    return ordered[start : start + FRAMES]


def resize_masks(masks: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """(N, H, W) -> (N, side, side), inside where at least half of a pixel is covered"""
    smaller = masks.shape[-1] > side
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = [cv2.resize(mask.astype(np.float32), (side, side), interpolation=how) >= 0.5 for mask in masks]
    return np.stack(resized) if resized else np.zeros((0, side, side), bool)


@torch.no_grad()
def _encode(model: SAM2, pixels: Tensor) -> ImageFeatures:
    return model.encode_image(pixels)


def _common_frames(clip: LabelledClip) -> list[int]:
    """Frames on which every object is annotated, in order."""
    return sorted(set.intersection(*(set(frames) for frames in clip.annotated.values())))
