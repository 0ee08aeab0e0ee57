"""A quick look during training: IoU by box and by click on held-out photographs, with a picture of the masks.

The truths are the teacher's masks there, so these numbers compare runs; the measure is `python -m sam2nb evaluate`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sam2nb.training.data.batches import StillBatch, clip_batch, generator, still_batch
from sam2nb.training.data.compose import Materials
from sam2nb.training.data.teacher import MEAN, STD
from sam2nb.training.losses import true_iou
from sam2nb.training.run_log import RunLog
from sam2nb.training.simulated_user import boxes_around, correct, first_clicks
from sam2nb.training.step import TrainingStep

PICTURES, CLIPS, FRAMES = 12, 6, 6
COLOURS = np.array([[230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167]], np.float32)


@torch.inference_mode()
def validate(model: nn.Module, materials: Materials, log: RunLog, phase: str, step: int) -> dict[str, float]:
    """Scores on the same pictures every time; written to the log, returned by name."""
    was_training = model.training
    model.eval()
    scores = {}
    rng = generator(12345, 0)
    batch = still_batch(rng, materials, photos=PICTURES, composed=PICTURES // 2, side=model.image_size, objects=4)
    drawn = score_stills(model, batch, scores)
    log.picture(phase, step, picture(batch, drawn))
    if phase in ("clips", "together", "polish"):
        scores["clip"] = score_clips(model, materials)
    log.write(phase, step, {f"val_{name}": value for name, value in scores.items()})
    model.train(was_training)
    return scores


def score_stills(model: nn.Module, batch: StillBatch, scores: dict[str, float]) -> torch.Tensor:
    """Adds "box", "click1", "click3" to the scores; returns the masks drawn from boxes (N, h, w)."""
    rng = generator(54321, 0)
    device = next(model.parameters()).device
    features = model.encode_image(batch.pixels.to(device))
    rows = batch.picture.to(device)
    conditioned, high_res = model.recall(features)[rows], tuple(level[rows] for level in features.high_res)
    truth = batch.truth.to(device)
    wanted = (batch.truth > 0.5).numpy()
    box = model.predict_masks(conditioned, high_res, boxes_around(rng, wanted, noise=0.0), False).logits[:, 0]
    scores["box"] = float(true_iou(box, truth).float().mean())
    prompts, multimask = first_clicks(rng, wanted), True
    for clicks in (1, 2, 3):
        answer = model.choose_best(model.predict_masks(conditioned, high_res, prompts, multimask))
        scores[f"click{clicks}"] = float(true_iou(answer.logits[:, 0], truth).float().mean())
        prompts, multimask = correct(rng, prompts, answer.logits, wanted), False
    return box.cpu() > 0


def score_clips(model: nn.Module, materials: Materials) -> float:
    """Mean IoU on the frames after the first of composed clips, the first frame's mask given."""
    step = TrainingStep(model).to(next(model.parameters()).device)
    ious = []
    for index in range(CLIPS):
        rng = generator(777, index)
        batch = clip_batch(rng, materials, clips=1, frames=FRAMES, side=model.image_size)
        for t, logits in step.track(batch, rng):
            truth = batch.truth[t]
            seen = truth.flatten(1).amax(1) > 0.5
            ious.append(true_iou(logits.cpu()[:, 0], truth)[seen])
    return float(torch.cat(ious).mean())


def picture(batch: StillBatch, drawn: torch.Tensor, columns: int = 6) -> NDArray[np.uint8]:
    """The pictures with their masks in colour, in a grid."""
    images = (batch.pixels.numpy() * np.array(STD).reshape(1, 3, 1, 1) + np.array(MEAN).reshape(1, 3, 1, 1)) * 255
    images = images.transpose(0, 2, 3, 1).clip(0, 255)[:, ::2, ::2].astype(np.float32)
    side = images.shape[1]
    masks = torch.nn.functional.interpolate(drawn[:, None].float(), size=(side, side), mode="nearest")[:, 0].numpy() > 0
    for index, (mask, owner) in enumerate(zip(masks, batch.picture.tolist(), strict=True)):
        images[owner][mask] = 0.45 * images[owner][mask] + 0.55 * COLOURS[index % len(COLOURS)]
    rows = [np.hstack(list(images[start : start + columns])) for start in range(0, len(images), columns)]
    return np.vstack([row for row in rows if row.shape == rows[0].shape]).astype(np.uint8)
