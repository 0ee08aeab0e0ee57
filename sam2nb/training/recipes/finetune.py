"""Fine-tuning: any checkpoint, adapted to your own pictures or clips by the same loop that trains nano.

What rests is not computed again: while the image encoder rests, every picture is encoded once (and once mirrored), and
a step costs no more than the mask decoder. So the tiny weights learn a dozen pictures in minutes on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
from sam2nb.training.loop import train
from sam2nb.training.step import TrainingStep
from sam2nb.weights.checkpoint import require_video_weights

DECODER = ("sam_mask_decoder.", "sam_prompt_encoder.point_embeddings")
MEMORY = ("memory_attention.", "memory_encoder.", "maskmem", "obj_ptr", "no_obj", "no_mem_embed", "mask_downsample")
PARTS = {"decoder": DECODER, "memory": DECODER + MEMORY, "all": (*DECODER, *MEMORY, "image_encoder.")}
ENCODER_SLOWDOWN = 0.1  # the image encoder has most to lose
OBJECTS = 4  # of one picture, in one step
FRAMES = 4


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
    """Adapt a model to labelled pictures or clips; returns it, changed, in eval mode.

    data: `open_images(...)` or `open_clips(...)`, see `sam2nb.evaluation.datasets` for the layouts.
    folder: where the run keeps its state and logs; a killed run goes on from there.
    parts: "decoder", "memory" (and decoder; needs clips) or "all" (the image encoder too, at a tenth of the rate).
    rounds: answers per conversation: a box or a click first, then up to rounds - 1 corrections.
    Raises ValueError for unknown parts, for memory without clips, and for data without a usable object.
    """
    if parts not in PARTS:
        raise ValueError(f"parts={parts!r}; expected one of {', '.join(PARTS)}")
    are_clips = not isinstance(data, LabelledImages)
    if parts == "memory" and not are_clips:
        raise ValueError('parts="memory" learns from clips; data are single pictures: use parts="decoder"')
    if are_clips:
        require_video_weights(model)
    encoder_rests = parts != "all"
    rates = {key: rate * (ENCODER_SLOWDOWN if key.startswith("image_encoder") else 1.0) for key in PARTS[parts]}
    phase = {"name": f"finetune-{parts}", "steps": steps, "warmup": min(10, steps // 10), "rates": rates,
             "rounds": rounds, "frozen_encoder": encoder_rests}  # fmt: skip
    draw = ClipDraw(model, data) if are_clips else PictureDraw(model, data, encoder_rests)
    average = train(
        TrainingStep(model), [phase], draw, Path(folder), seed=seed, ema=0.98, weight_decay=0.01, device=model.device
    )
    model.load_state_dict(average.model.state_dict())
    return model.requires_grad_(True).eval()


class PictureDraw:
    """Draws one picture with some of its objects per step."""

    def __init__(self, model: SAM2, data: LabelledImages, encoder_rests: bool) -> None:
        self.side = model.image_size
        self.items: list[tuple[Tensor, ImageFeatures | None, NDArray[np.bool_]]] = []
        for name in tqdm(data.names, desc="encoding pictures", leave=False):
            sample = data.load(name)
            for mirrored in (False, True):
                image, masks = (
                    (sample.image[:, ::-1], sample.masks[:, :, ::-1]) if mirrored else (sample.image, sample.masks)
                )
                resized = resize_masks(masks, self.side)
                resized = resized[resized.any((1, 2))]
                if not len(resized):
                    continue
                pixels = to_model_input(np.ascontiguousarray(image), self.side).to(model.device)
                self.items.append((pixels, _encode(model, pixels) if encoder_rests else None, resized))
        if not self.items:
            raise ValueError(f"data {data.source!r} has no picture with an object")

    def __call__(self, rng: np.random.Generator, phase: Mapping[str, Any], step: int) -> StillBatch:
        pixels, features, masks = self.items[int(rng.integers(len(self.items)))]
        chosen = rng.permutation(len(masks))[:OBJECTS]
        owners = torch.zeros(len(chosen), dtype=torch.long)
        return StillBatch(pixels, owners, shrink(masks[chosen]), features=features)


class ClipDraw:
    """Draws a few neighbouring annotated frames of one clip per step, sometimes backwards."""

    def __init__(self, model: SAM2, data: Sequence[LabelledClip]) -> None:
        self.side = model.image_size
        self.clips = [clip for clip in data if clip.objects and len(_common_frames(clip)) >= 2]
        if not self.clips:
            raise ValueError("data have no clip with two frames on which the same objects are annotated")

    def __call__(self, rng: np.random.Generator, phase: Mapping[str, Any], step: int) -> ClipBatch:
        for _ in range(50):
            clip = self.clips[int(rng.integers(len(self.clips)))]
            annotated = _common_frames(clip)
            stride = int(rng.integers(1, max(2, min(4, len(annotated) // FRAMES + 1))))
            window = annotated[:: stride * int(rng.choice([-1, 1]))]
            start = int(rng.integers(max(1, len(window) - FRAMES + 1)))
            frames = window[start : start + FRAMES]
            masks = np.stack([[clip.mask(t, k) for k in clip.objects] for t in frames])
            seen = np.flatnonzero(masks[0].any((1, 2)))[:OBJECTS]
            if len(seen) and len(frames) >= 2:
                return self._batch(clip, frames, masks[:, seen])
        raise SampleError("fifty draws without an object on the first frame: are the masks empty?")

    def _batch(self, clip: LabelledClip, frames: Sequence[int], masks: NDArray[np.bool_]) -> ClipBatch:
        resized = np.stack([resize_masks(found, self.side) for found in masks])
        return ClipBatch(
            pixels=torch.stack([to_model_input(clip.frame(t), self.side) for t in frames]),
            clip=torch.zeros(masks.shape[1], dtype=torch.long),
            truth=shrink(resized),
            first_masks=torch.from_numpy(resized[0]).float()[:, None],
        )


def resize_masks(masks: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """(N, H, W) -> (N, side, side), inside where at least half of a pixel is"""
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
