"""The simulated user: a click or a box first, then clicks where the prediction is wrong.

SAM 2 is trained in this way (arXiv 2408.00714, section 4 "training"). Masks are on the model's mask grid (a quarter of
the input side), on any device; points are in pixels of the model's input, as `Prompts` takes them. Random numbers come
from a numpy generator, so a step chooses the same points on every device.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.structures import BOX_CORNER_LABELS, EXCLUDE_LABEL, INCLUDE_LABEL, MASK_LOGIT_CLAMP, MASK_STRIDE, Prompts

BOX_NOISE, MAX_BOX_NOISE = 0.1, 20.0  # standard deviation as a fraction of the side; limit in input pixels
EROSIONS = 8  # between two looks at whether anything is left, which make a GPU wait
DEEPEST_FIRST, DEEPEST_CORRECTION = 0.5, 0.7  # probability of the deepest point of a region instead of any


def click_in(rng: np.random.Generator, regions: Tensor, deepest: float) -> Tensor:
    """One point of each region (B, h, w), bool -> (B, 2) as (x, y) in input pixels; of an empty region, the first pixel

    deepest: the probability of the point farthest from the border, instead of any.
    """
    weight = regions.flatten(1).float()
    total = weight.cumsum(1)
    threshold = torch.from_numpy(rng.random(len(regions), dtype=np.float32)).to(total.device) * total[:, -1]
    index = (total > threshold[:, None]).int().argmax(1)
    middle = depth(regions).flatten(1).argmax(1)
    use_middle = torch.from_numpy(rng.random(len(regions)) < deepest).to(total.device)
    index = torch.where(use_middle, middle, index)
    width = regions.shape[-1]
    return (torch.stack((index % width, index // width), 1) + 0.5) * MASK_STRIDE


def depth(regions: Tensor) -> Tensor:
    """The chessboard distance of every pixel from the outside of its region: (B, h, w) bool -> (B, h, w) float"""
    inside = F.pad(regions.float(), (1, 1, 1, 1))[:, None]
    distance = inside.clone()
    while inside.any():
        for _ in range(EROSIONS):
            inside = -F.max_pool2d(-inside, 3, stride=1, padding=1)
            distance += inside
    return distance[:, 0, 1:-1, 1:-1]


def first_clicks(rng: np.random.Generator, truth: Tensor) -> Prompts:
    """One click inside every object, half of the time at its deepest point: truth (B, h, w) bool -> points (B, 1, 2)

    An absent object gets an exclude click in the corner.
    """
    present = truth.flatten(1).any(1)
    points = click_in(rng, truth, DEEPEST_FIRST) * present[:, None]
    return Prompts(points[:, None], _labels(present)[:, None])


def boxes_around(rng: np.random.Generator, truth: Tensor, noise: float = BOX_NOISE) -> Prompts:
    """A slightly inaccurate box around every object: truth (B, h, w) bool -> points (B, 2, 2), the corners' labels"""
    starts, ends = [], []
    for across in (1, 2):  # columns, then rows
        used = truth.any(across).int()
        starts.append(used.argmax(1))
        ends.append(used.shape[1] - used.flip(1).argmax(1))
    tight = torch.stack((*starts, *ends), 1).float() * MASK_STRIDE
    sides = (tight[:, 2:] - tight[:, :2]).repeat(1, 2)
    shift = torch.from_numpy(rng.normal(0, 1, tight.shape).astype(np.float32)).to(tight) * noise * sides
    boxes = (tight + shift.clamp(-MAX_BOX_NOISE, MAX_BOX_NOISE)).clamp(0, truth.shape[-1] * MASK_STRIDE)
    boxes = boxes * truth.flatten(1).any(1, keepdim=True)
    labels = torch.tensor([BOX_CORNER_LABELS], dtype=torch.int32, device=truth.device)
    return Prompts(boxes.unflatten(1, (2, 2)), labels.expand(len(truth), 2))


def correct(rng: np.random.Generator, prompts: Prompts, logits: Tensor, truth: Tensor) -> Prompts:
    """Add one click per object where the prediction is wrong, and the prediction itself as a mask prompt.

    logits: (B, 1, h, w) of the last prediction; truth: (B, h, w) bool. An object without any error gets a click inside,
    an absent one that is not predicted an exclude click in the corner.
    """
    found = logits[:, 0].detach() > 0
    error = found != truth
    wrong, present = error.flatten(1).any(1), truth.flatten(1).any(1)
    points = click_in(rng, torch.where(wrong[:, None, None], error, truth), DEEPEST_CORRECTION)
    points = points * (wrong | present)[:, None]
    columns, rows = (points / MASK_STRIDE).long().unbind(1)
    inside = truth[torch.arange(len(truth), device=truth.device), rows, columns]
    return Prompts(
        torch.cat((prompts.points.to(points), points[:, None]), 1),
        torch.cat((prompts.labels.to(truth.device), _labels(inside)[:, None]), 1),
        logits.detach().clamp(-MASK_LOGIT_CLAMP, MASK_LOGIT_CLAMP),
    )


def _labels(include: Tensor) -> Tensor:
    return torch.where(include, INCLUDE_LABEL, EXCLUDE_LABEL).to(torch.int32)
