"""Judgement: the quality head alone learns which of a model's three masks is the one that was meant.

The rest of the model stays as it is, so what the head reads is computed once for every click: a token, and how good
each mask is. On photographs a teacher that sees them larger tells how good: half for the overlap with the mask it holds
for best, half for the overlap with any of its masks. On composed scenes it is the overlap with the clicked object.

    python -m sam2nb train nano_judgement
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from sam2nb.build import build_sam2, load_model
from sam2nb.masks.measure import iou
from sam2nb.media.images import normalise
from sam2nb.model.mask_decoder import take_best, take_multimask, take_single_mask
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import MASK_STRIDE, MaskPrediction
from sam2nb.training.data.cutouts import open_cutouts
from sam2nb.training.data.scenes import compose_scene
from sam2nb.training.data.stock import Stock, new_stock, read_views
from sam2nb.training.data.teacher import to_pixels
from sam2nb.training.distillation import covered, one_click
from sam2nb.training.recipes.distilled import training_photos
from sam2nb.training.recipes.nano import is_held_out
from sam2nb.training.simulated_user import correct, first_clicks
from sam2nb.weights.compact import compact
from sam2nb.weights.files import write_state_file

logger = logging.getLogger(__name__)

MIN_AREA = 0.003  # of the image: smaller objects of scenes are not clicked
ROUNDS = 4  # of clicks on an object of a scene

# what the head reads (N, 256); how good the last k of its four masks are (N, k), 0 to 1
Answers = tuple[Tensor, Tensor]


class Listener:
    """Remembers what the quality head of a textbook model read last."""

    def __init__(self, model: SAM2) -> None:
        self.tokens: Tensor | None = None
        model.sam_mask_decoder.iou_prediction_head.register_forward_pre_hook(self._note)

    def _note(self, _: Any, inputs: tuple[Tensor]) -> None:
        self.tokens = inputs[0].flatten(0, -2).clone()


def run(recipe: Mapping[str, Any], *, stop_after: int | None = None, device: str | None = None) -> Path:
    """Train; returns the checkpoint written at the end. stop_after: at most this many steps. device: always the CPU."""
    torch.set_num_threads(recipe["threads"])
    rng = np.random.default_rng(recipe["seed"])
    size = [f"++model.image_size={recipe['image_size']}"]
    model = build_sam2(recipe["model"], recipe["start"], "cpu", hydra_overrides_extra=size, fast=False)
    teacher = load_model(recipe["teacher"], "cpu", image_size=recipe["teacher_side"])
    listener = Listener(model)
    views = read_views(training_photos(recipe), 1, recipe["view_side"], recipe["workers"])
    cutouts = open_cutouts(Path(recipe["data"]) / "cutouts")
    stock = new_stock(views, cutouts.only(~is_held_out(np.arange(len(cutouts)), recipe)), torch.device("cpu"))
    chosen = views[rng.permutation(len(views))[: recipe["photographs"]]]
    answers = [
        answers_on_photographs(model, listener, teacher, chosen, recipe["clicks"], rng),
        answers_on_scenes(model, listener, stock, recipe["scenes"], rng),
    ]
    steps = recipe["steps"] if stop_after is None else min(recipe["steps"], stop_after)
    train_head(model, answers, steps, recipe["rate"], rng)
    folder = Path(recipe["runs"]) / recipe["name"]
    return write_state_file(folder / "model.safetensors", compact(model.state_dict()), {"config": recipe["model"]})


@torch.inference_mode()
def answers_on_photographs(
    model: SAM2, listener: Listener, teacher: SAM2, views: np.ndarray, clicks: int, rng: np.random.Generator
) -> Answers:
    """Random clicks on views (V, H, H, 3); the teacher tells how good the answers are."""
    tokens, quality = [], []
    for view in tqdm(views, desc="photographs"):
        pixels = to_pixels(view[None])
        points = torch.from_numpy(rng.random((clicks, 2), dtype=np.float32))
        own, best = (_answer(one, pixels, points) for one in (model, teacher))
        coarse = covered(best.logits, own.logits.shape[-1]) > 0.5
        overlap = iou((own.logits > 0)[:, :, None], coarse[:, None])
        tokens.append(listener.tokens)
        quality.append(wanted_quality(overlap, best.iou))
    return torch.cat(tokens), torch.cat(quality)


def _answer(model: SAM2, pixels: Tensor, points: Tensor) -> MaskPrediction:
    features = model.encode_image(F.interpolate(pixels, size=(model.image_size,) * 2, mode="bilinear", antialias=True))
    prompts = one_click(points, model.image_size)
    return model.predict_masks(model.recall(features), features.high_res, prompts, multimask=True)


def wanted_quality(overlap: Tensor, teacher_iou: Tensor) -> Tensor:
    """How good masks are: IoU (N, 3, 3) of each with each of the teacher's, its estimates (N, 3) -> (N, 3)"""
    sure = teacher_iou.clamp(0, 1)
    best = sure.argmax(1)
    rows = torch.arange(len(best))
    with_best = overlap[rows, :, best] * sure[rows, best][:, None]
    with_any = (overlap * sure[:, None]).amax(2)
    return (with_best + with_any) / 2


@torch.inference_mode()
def answers_on_scenes(model: SAM2, listener: Listener, stock: Stock, scenes: int, rng: np.random.Generator) -> Answers:
    """Clicks and corrections on the objects of composed scenes, whose masks are exact."""
    tokens, quality = [], []
    for _ in tqdm(range(scenes), desc="scenes"):
        scene = compose_scene(rng, stock, 1, model.image_size)
        masks = scene.masks[0][scene.masks[0].float().mean((1, 2)) > MIN_AREA]
        if not len(masks):
            continue
        truth = F.avg_pool2d(masks[None].float(), MASK_STRIDE)[0] > 0.5
        features = model.encode_image(normalise(scene.images)).rows(torch.zeros(len(masks), dtype=torch.long))
        conditioned, prompts = model.recall(features), first_clicks(rng, truth)
        for number in range(ROUNDS):
            prediction = model.predict_all_masks(conditioned, features.high_res, prompts)
            tokens.append(listener.tokens)
            quality.append(iou(prediction.logits > 0, truth[:, None]))
            shown = take_best(take_multimask(prediction)) if number == 0 else take_single_mask(prediction)
            prompts = correct(rng, prompts, shown.logits, truth)
    if not tokens:
        raise ValueError("no scene shows an object: are the cut-outs empty?")
    return torch.cat(tokens), torch.cat(quality)


def train_head(
    model: SAM2, answers: Sequence[Answers], steps: int, rate: float, rng: np.random.Generator, batch: int = 256
) -> None:
    """Fit the head to all kinds of answers alike, by squared error; everything else stays as it is."""
    head = model.sam_mask_decoder.iou_prediction_head
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.1)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        loss = torch.zeros(())
        for tokens, quality in answers:
            rows = torch.from_numpy(rng.integers(len(tokens), size=batch))
            loss = loss + (head(tokens[rows])[:, -quality.shape[1] :] - quality[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    logger.info("quality head: error %.4f after %d steps", float(loss.detach()), steps)
