"""Scenes: short clips composed on the training device, with exact masks.

A photograph is seen by a moving camera and bends a little; one of its own objects moves within its surroundings;
cut-outs and objects of other photographs pass in front, leave, return, or look like what is tracked. Still images with
synthetic motion are the pre-training of space-time memory networks (arXiv 1904.00607, section 3.4).

Positions are those of `grid_sample`: -1..1 across an image. T frames of side S.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from sam2nb.media.images import normalise
from sam2nb.structures import MASK_STRIDE
from sam2nb.training.data.batches import ClipBatch
from sam2nb.training.data.compose import VISIBLE, random_path
from sam2nb.training.data.stock import Stock

MIN_AREA = 0.002  # of the frame: objects less visible on the first frame are not trained on
SMALLEST, LEAVING = 0.06, 0.3  # longer side of the smallest pasted object; probability that it leaves and returns
OWN_OBJECT = 0.7  # probability that an object of the photograph moves by itself
FROM_PHOTO = 0.5  # probability that a pasted object comes from another photograph
LOOK_ALIKE = 0.25  # probability that all pasted objects are copies of one
TEXTURE_SIDE = 256
BEND_CELLS = 5  # of the coarse grid of random displacements


@dataclass(frozen=True)
class Scene:
    """images: (T, 3, S, S) in 0..1; masks: (T, K, S, S) bool, what is visible of each object."""

    images: Tensor
    masks: Tensor


def clip_of_scenes(
    rng: np.random.Generator, stock: Stock, *, clips: int, frames: int, side: int, objects: int = 2
) -> ClipBatch:
    """Composed clips with `objects` objects each, as a batch on the stock's device.

    A clip with fewer objects counts one of them twice: batches of one shape are faster on a GPU.
    """
    images, masks, clip_index = [], [], []
    while len(images) < clips:
        scene = compose_scene(rng, stock, frames, side)
        visible = torch.nonzero(scene.masks[0].float().mean((1, 2)) >= MIN_AREA).flatten().cpu().numpy()
        if not len(visible):
            continue
        chosen = np.resize(rng.permutation(visible), objects)
        masks.append(scene.masks[:, torch.from_numpy(chosen)])
        clip_index.extend([len(images)] * len(chosen))
        images.append(scene.images)
    together = torch.cat(masks, 1)
    return ClipBatch(
        pixels=normalise(torch.stack(images, 1)),
        clip_index=torch.tensor(clip_index, device=together.device),
        truth=F.avg_pool2d(together.float(), MASK_STRIDE),
        first_masks=together[0].float()[:, None],
    )


@torch.no_grad()
def compose_scene(rng: np.random.Generator, stock: Stock, frames: int, side: int) -> Scene:
    """One scene; objects that are never seen are among its masks too."""
    images, masks = _photograph(rng, stock, frames, side)
    count = int(rng.integers(0, 4))
    same = random_texture(rng, stock) if count > 1 and rng.random() < LOOK_ALIKE else None
    for _ in range(count):
        texture = random_texture(rng, stock) if same is None else same
        colour, alpha = paste(rng, texture, frames, side)
        images = images * (1 - alpha) + colour
        covered = alpha > VISIBLE
        masks = torch.cat((masks & ~covered, covered), 1)
    return Scene(_camera_effects(rng, images), masks)


def _photograph(rng: np.random.Generator, stock: Stock, frames: int, side: int) -> tuple[Tensor, Tensor]:
    """A view under a moving camera, with its objects: -> (T, 3, S, S) in 0..1, (T, K, S, S) bool"""
    view = int(rng.integers(len(stock.views)))
    image, masks = stock.views[view].float() / 255, stock.masks_of(view)
    if rng.random() < 0.5:
        image, masks = image.flip(-1), masks.flip(-1)
    grid = camera(rng, frames, side, image.device)
    moving = bool(len(masks)) and frames > 1 and rng.random() < OWN_OBJECT
    if moving:
        grid = _move_one(rng, grid, masks[int(rng.integers(len(masks)))])
    images = F.grid_sample(image.expand(frames, -1, -1, -1), grid, padding_mode="reflection", align_corners=False)
    if not len(masks):
        return images, masks.new_zeros(frames, 0, side, side)
    seen = F.grid_sample(masks.float().expand(frames, -1, -1, -1), grid, padding_mode="zeros", align_corners=False)
    return images, seen > VISIBLE


def camera(rng: np.random.Generator, frames: int, side: int, device: torch.device) -> Tensor:
    """Where in the photograph each pixel looks while the camera pans, zooms, turns and shakes: -> (T, S, S, 2)"""
    t = np.linspace(0, 1, max(frames, 2))[:frames]
    zoom = np.exp(rng.uniform(np.log(0.4), 0)) * np.exp(t * rng.normal(0, 0.15))
    angle = rng.normal(0, 0.06) + t * rng.normal(0, 0.12)
    speed = rng.choice([0.0, 0.15, 0.5, 1.0]) * min(1.0, frames / 6)
    slack = max(0.0, 1 - zoom[0])
    start, end = rng.uniform(-1, 1, (2, 2)) * slack
    centre = start + np.outer(t, (end - start) * speed) + rng.normal(0, rng.choice([0, 0.004]), (frames, 2))
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    theta = np.stack([np.stack([cos, -sin, centre[:, 0]], 1), np.stack([sin, cos, centre[:, 1]], 1)], 1)
    grid = F.affine_grid(torch.tensor(theta, dtype=torch.float32, device=device), (frames, 1, side, side), False)
    return grid + bending(rng, frames, side, device) * float(zoom[0])


def bending(rng: np.random.Generator, frames: int, side: int, device: torch.device, largest: float = 0.08) -> Tensor:
    """A smooth displacement that sways over time, as a coarse random grid enlarged: -> (T, S, S, 2)"""
    strength = rng.uniform(0, largest) * rng.choice([0, 0.3, 1])
    t = np.linspace(0, 1, max(frames, 2))[:frames]
    coarse = rng.normal(0, 1, (2, 2, BEND_CELLS, BEND_CELLS))  # two patterns, each with its own rhythm
    rhythm = np.sin(2 * np.pi * (np.outer(t, rng.uniform(0.1, 1.0, 2)) + rng.random(2)))
    field = torch.tensor(np.einsum("tp,pchw->tchw", rhythm, coarse) * strength, dtype=torch.float32, device=device)
    return F.interpolate(field, size=(side, side), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def _move_one(rng: np.random.Generator, grid: Tensor, mask: Tensor) -> Tensor:
    """Let one object move within its surroundings, which stretch: grid (T, S, S, 2), mask (h, h) -> grid"""
    frames = len(grid)
    width = int(rng.integers(6, 20)) * 2 + 1
    soft = gaussian_blur(F.max_pool2d(mask[None, None].float(), width, 1, width // 2), [width, width])
    t = np.linspace(0, 1, max(frames, 2))[:frames]
    move = np.outer(t, rng.normal(0, 0.15, 2)) * min(1.0, frames / 6)
    move += 0.06 * np.sin(2 * np.pi * np.outer(t, rng.uniform(0.2, 1.5, 2))) * rng.normal(0, 1, 2)
    shift = torch.tensor(move, dtype=torch.float32, device=grid.device)[:, None, None]
    inside = F.grid_sample(soft.expand(frames, -1, -1, -1), grid - shift, align_corners=False)
    return grid - inside.permute(0, 2, 3, 1) * shift


def random_texture(rng: np.random.Generator, stock: Stock) -> Tensor:
    """A cut-out, or an object of a photograph, in new colours: -> (4, h, w) in 0..1, not premultiplied"""
    texture = _photo_object(rng, stock) if rng.random() < FROM_PHOTO else None
    if texture is None:
        index = int(rng.choice(len(stock.weights), p=stock.weights))
        height, width = (int(length) for length in stock.sizes[index])
        texture = stock.cutouts[index, :, :height, :width].float() / 255
    if rng.random() < 0.5:
        texture = texture.flip(-1)
    gain = torch.tensor(rng.uniform(0.6, 1.3) * rng.uniform(0.85, 1.15, 3), dtype=torch.float32)
    colour = texture[:3] * gain.to(texture)[:, None, None] + float(rng.uniform(-0.1, 0.1))
    return torch.cat((colour.clamp(0, 1), texture[3:]))


def _photo_object(rng: np.random.Generator, stock: Stock) -> Tensor | None:
    """An object that the teacher outlined, wholly inside its view; None if the chosen one is not usable."""
    view = int(rng.integers(len(stock.views)))
    masks = stock.masks_of(view)
    if not len(masks):
        return None
    mask = masks[int(rng.integers(len(masks)))].cpu().numpy()
    if mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any() or not 0.01 < mask.mean() < 0.4:
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    scale = stock.views.shape[-1] / mask.shape[0]
    top, bottom, left, right = (round(v * scale) for v in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    colour = stock.views[view, :, top:bottom, left:right].float()[None] / 255
    alpha = masks.new_tensor(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], dtype=torch.float32)
    fit = TEXTURE_SIDE / max(colour.shape[-2:])
    size = [max(2, round(length * fit)) for length in colour.shape[-2:]]
    colour = F.interpolate(colour, size=size, mode="bilinear", antialias=True)
    alpha = F.interpolate(alpha[None, None], size=size, mode="bicubic", antialias=True)
    return torch.cat((colour, (alpha * 2 - 0.5).clamp(0, 1)), 1)[0]


def paste(rng: np.random.Generator, texture: Tensor, frames: int, side: int) -> tuple[Tensor, Tensor]:
    """A texture (4, h, w) on its way over the frames: -> colour times alpha (T, 3, S, S), alpha (T, 1, S, S)"""
    path = random_path(rng, frames, SMALLEST, LEAVING)
    premultiplied = torch.cat((texture[:3] * texture[3:], texture[3:]))[None]
    longest = float(path.size.max()) * side
    if longest < max(texture.shape[-2:]):  # sampling does not average, so shrink first
        fit = longest / max(texture.shape[-2:])
        size = [max(2, round(length * fit)) for length in texture.shape[-2:]]
        premultiplied = F.interpolate(premultiplied, size=size, mode="bilinear", antialias=True)
    height, width = texture.shape[-2:]
    longer = max(height, width)
    # from a position on the frame back to one on the texture
    cos, sin = np.cos(path.angle) / path.size, np.sin(path.angle) / path.size
    across, down = longer / width, longer / height
    x, y = 2 * path.centre[:, 0] - 1, 2 * path.centre[:, 1] - 1
    theta = np.stack(
        [
            np.stack([cos * across, sin * across, -(cos * x + sin * y) * across], 1),
            np.stack([-sin * down, cos * down, (sin * x - cos * y) * down], 1),
        ],
        1,
    )
    theta = torch.tensor(theta, dtype=torch.float32, device=texture.device)
    grid = F.affine_grid(theta, (frames, 1, side, side), align_corners=False)
    grid = grid + bending(rng, frames, side, texture.device, largest=0.15)
    moved = F.grid_sample(premultiplied.expand(frames, -1, -1, -1), grid, align_corners=False)
    return moved[:, :3], moved[:, 3:]


def _camera_effects(rng: np.random.Generator, images: Tensor) -> Tensor:
    """Light that drifts, blur by focus or motion, a low resolution, noise: (T, 3, S, S) in 0..1, both ways"""
    frames = len(images)
    drift = 1 + np.linspace(0, 1, frames)[:, None] * rng.normal(0, 0.08)
    gain = rng.uniform(0.7, 1.2) * rng.uniform(0.92, 1.08, 3) * drift
    images = images * torch.tensor(gain, dtype=torch.float32, device=images.device)[..., None, None]
    if rng.random() < 0.3:
        images = gaussian_blur(images, [7, 7], float(rng.uniform(0.4, 1.5)))
    if frames > 1 and rng.random() < 0.2:
        images = _smear(images, int(rng.integers(3, 9)), horizontal=rng.random() < 0.7)
    if rng.random() < 0.15:
        size, factor = images.shape[-1], float(rng.uniform(0.4, 0.8))
        small = F.interpolate(images, scale_factor=factor, mode="bilinear", antialias=True)
        images = F.interpolate(small, size=(size, size), mode="bilinear")
    if rng.random() < 0.5:
        noise = torch.Generator(images.device).manual_seed(int(rng.integers(2**31)))
        spread = float(rng.uniform(0.008, 0.04))
        images = images + spread * torch.randn(images.shape, device=images.device, generator=noise)
    return images.clamp(0, 1)


def _smear(images: Tensor, length: int, horizontal: bool) -> Tensor:
    """Blur along one axis, as a fast camera does."""
    size = [1, length] if horizontal else [length, 1]
    padding = (length // 2, length - 1 - length // 2)
    padded = F.pad(images, (*padding, 0, 0) if horizontal else (0, 0, *padding), mode="reflect")
    return F.avg_pool2d(padded, size, stride=1)
