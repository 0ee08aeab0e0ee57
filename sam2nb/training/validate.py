"""Quick validation during training: IoU by box and by click, with an image of the masks.

The images are held-out photographs and composed ones. The truth on photographs is the teacher's masks, so these numbers
compare runs; a model is measured by `python -m sam2nb evaluate`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2nb.media.images import IMAGENET_MEAN, IMAGENET_STD
from sam2nb.model.mask_decoder import take_best
from sam2nb.model.sam2 import SAM2
from sam2nb.plotting import draw_masks
from sam2nb.training.data.batches import StillBatch, clip_batch, generator, still_batch
from sam2nb.training.data.compose import Materials
from sam2nb.training.losses import true_iou
from sam2nb.training.phase import Phase
from sam2nb.training.run_log import RunLog
from sam2nb.training.simulated_user import boxes_around, correct, first_clicks
from sam2nb.training.step import TrainingStep

PHOTOS, COMPOSED, OBJECTS = 12, 6, 4  # of the still images
CLIPS, FRAMES = 6, 6
CLICKS = 3
STILLS_SEED, PROMPTS_SEED, CLIPS_SEED = 12345, 54321, 777
COLUMNS = 6  # of the image grid


@torch.inference_mode()
def validate(model: SAM2, materials: Materials, log: RunLog, phase: Phase, step: int) -> dict[str, float]:
    """Score a model on the same images every time -> "box", "click1" to "click3" and, in phases with clips, "clip".

    The scores and an image of the masks go into the log too.
    """
    was_training = model.training
    model.eval()
    rng = generator(STILLS_SEED, 0)
    batch = still_batch(rng, materials, photos=PHOTOS, composed=COMPOSED, side=model.image_size, objects=OBJECTS)
    scores, masks = score_stills(model, batch)
    log.image(phase.name, step, mask_grid(batch, masks))
    if phase.has_clips:
        scores["clip"] = score_clips(model, materials)
    log.write(phase.name, step, {f"val_{name}": value for name, value in scores.items()})
    model.train(was_training)
    return scores


def score_stills(model: SAM2, batch: StillBatch) -> tuple[dict[str, float], Tensor]:
    """Mean IoU by box and after each of three clicks -> "box", "click1" to "click3"; and the box masks (N, h, w)"""
    rng = generator(PROMPTS_SEED, 0)
    features = model.encode_image(batch.pixels.to(model.device))
    rows = batch.image_index.to(model.device)
    conditioned, high_res = model.recall(features)[rows], features.rows(rows).high_res
    truth = batch.truth.to(model.device)
    wanted = truth > 0.5
    boxes = boxes_around(rng, wanted, noise=0.0)
    by_box = model.predict_masks(conditioned, high_res, boxes, multimask=False).logits[:, 0]
    scores = {"box": float(true_iou(by_box, truth).float().mean())}
    prompts = first_clicks(rng, wanted)
    for click in range(1, CLICKS + 1):
        prediction = model.predict_masks(conditioned, high_res, prompts, multimask=click == 1)
        logits = take_best(prediction).logits
        scores[f"click{click}"] = float(true_iou(logits[:, 0], truth).float().mean())
        prompts = correct(rng, prompts, logits, wanted)
    return scores, by_box.cpu() > 0


def score_clips(model: SAM2, materials: Materials) -> float:
    """Mean IoU on composed clips from their second frame on, given the masks of the first."""
    step = TrainingStep(model).to(model.device)
    ious = []
    for index in range(CLIPS):
        batch = clip_batch(generator(CLIPS_SEED, index), materials, clips=1, frames=FRAMES, side=model.image_size)
        for t, logits in step.track(batch):
            truth = batch.truth[t]
            present = truth.flatten(1).amax(1) > 0.5
            ious.append(true_iou(logits.cpu()[:, 0], truth)[present])
    return float(torch.cat(ious).mean())


def mask_grid(batch: StillBatch, masks: Tensor) -> NDArray[np.uint8]:
    """The images of a batch, at half size, with masks (N, h, w) in colour: one image of six columns"""
    images = batch.pixels.numpy() * np.reshape(IMAGENET_STD, (3, 1, 1)) + np.reshape(IMAGENET_MEAN, (3, 1, 1))
    images = (images * 255).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)[:, ::2, ::2]
    large = F.interpolate(masks[:, None].float(), size=images.shape[1:3], mode="nearest")[:, 0].numpy() > 0
    owners = batch.image_index.numpy()
    tiles = [draw_masks(image, large[owners == index]) for index, image in enumerate(images)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)  # complete the last row
    return np.vstack([np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)])
