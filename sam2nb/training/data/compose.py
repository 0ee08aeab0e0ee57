"""Composed stills and clips: cut-outs that move over photographs, with exact masks.

Still images with synthetic motion are the pre-training of space-time memory networks (arXiv 1904.00607, section 3.4).
Here: affine paths with sway, bending, a moving camera, drifting light, blur, noise, objects that pass in front of
others, and objects that leave and come back. Masks are exact by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2nb.training.data.cutouts import CutOuts
from sam2nb.training.data.teacher import LabelledPhotos

MIN_AREA = 0.0015  # of the image: objects less visible than this are not trained on
VISIBLE = 0.5  # alpha above which a pixel belongs to the object
MAX_OBJECTS = 3  # trained on, in one clip
ATTEMPTS = 20  # at a composition with a visible object


@dataclass(frozen=True)
class Materials:
    """The parts that images are composed of, and how they are combined.

    photos: rows of `LabelledPhotos` to use (training or held-out). textures: (N, 256, 256, 3).
    photo_objects: probability that an object is cut out of a photograph.
    smallest: longer side of the smallest object, as a fraction of the image.
    leaving: probability that an object leaves a clip and comes back.
    """

    cutouts: CutOuts
    labels: LabelledPhotos
    photos: NDArray[np.int64]
    textures: NDArray[np.uint8]
    photo_objects: float = 0.35
    smallest: float = 0.1
    leaving: float = 0.17


@dataclass(frozen=True)
class Path2D:
    """The position and shape of an object at each of T frames, in units of the image's side."""

    centre: NDArray[np.float64]  # (T, 2)
    size: NDArray[np.float64]  # (T,) of its longer side
    angle: NDArray[np.float64]  # (T,) in radians
    bend: NDArray[np.float64]  # (T,) amplitude of a sine along its rows, as a fraction of its width


def compose_still(
    rng: np.random.Generator, materials: Materials, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """-> image (side, side, 3), visible masks (K, side, side) with K >= 1"""
    images, masks = compose_clip(rng, materials, side, 1, int(rng.integers(1, 7)))
    return images[0], masks[0]


def compose_clip(
    rng: np.random.Generator, materials: Materials, side: int, frames: int, objects: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """-> images (T, side, side, 3), visible masks (T, K, side, side), every object visible on the first frame

    objects: how many to paste, hidden ones included; None for a random number.
    Raises RuntimeError if no attempt shows an object.
    """
    for _ in range(ATTEMPTS):
        images, masks = _compose_once(rng, materials, side, frames, objects or int(rng.integers(1, 5)))
        visible = np.flatnonzero(masks[0].mean((1, 2)) >= MIN_AREA)
        if len(visible):
            return images, masks[:, visible]
    raise RuntimeError(f"{ATTEMPTS} compositions without a visible object: are the cut-outs empty?")


def _compose_once(
    rng: np.random.Generator, materials: Materials, side: int, frames: int, objects: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    images = moving_background(rng, materials, side, frames)
    masks = np.zeros((frames, objects, side, side), bool)
    look_alikes = objects > 1 and rng.random() < 0.15  # copies of one cut-out: only position and time tell them apart
    first = random_cutout(rng, materials)
    for k in range(objects):
        rgba = first if k == 0 or look_alikes else random_cutout(rng, materials)
        rgba = recolour(rng, rgba)
        path = random_path(rng, frames, materials.smallest, materials.leaving)
        for t in range(frames):
            colour, alpha = warp_onto_frame(rgba, path, t, side)
            images[t] = images[t] * (1 - alpha[..., None]) + colour
            covered = alpha > VISIBLE
            masks[t, :k] &= ~covered
            masks[t, k] = covered
    return add_camera_effects(rng, images), masks


def random_cutout(rng: np.random.Generator, materials: Materials) -> NDArray[np.uint8]:
    """A cut-out (h, w, 4) of the collection, or an object that the teacher outlined on a photograph."""
    if len(materials.photos) and rng.random() < materials.photo_objects:
        for _ in range(4):
            rgba = photo_cutout(rng, materials)
            if rgba is not None:
                return rgba
    return materials.cutouts[int(rng.choice(len(materials.cutouts), p=materials.cutouts.weights))]


def photo_cutout(rng: np.random.Generator, materials: Materials) -> NDArray[np.uint8] | None:
    """Cut a compact pseudo-labelled object (h, w, 4) out of a photograph; None if the chosen one is not usable."""
    index = int(rng.choice(materials.photos))
    masks = materials.labels.masks_of(index)
    if not len(masks):
        return None
    mask = masks[int(rng.integers(len(masks)))]
    cut_off = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
    if cut_off or not 0.01 < mask.mean() < 0.4:
        return None
    image = np.asarray(materials.labels.images[index])
    soft = cv2.resize(mask.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    alpha = np.clip((soft - 0.25) * 2, 0, 1)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    scale = image.shape[0] // mask.shape[0]
    top, bottom, left, right = (int(v) * scale for v in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    rgba = np.dstack([image, (alpha * 255).astype(np.uint8)])
    return rgba[top:bottom, left:right]


def random_path(rng: np.random.Generator, frames: int, smallest: float, leaving: float) -> Path2D:
    """A smooth path; some leave the image on the way and return."""
    t = np.linspace(0, 1, max(frames, 2))[:frames]
    start = rng.uniform(0.12, 0.88, 2)
    speed = rng.choice([0.03, 0.12, 0.3, 0.5]) * min(1.0, frames / 6)
    centre = start + np.outer(t, rng.normal(0, 1, 2) * speed)
    centre += 0.5 * speed * np.sin(2 * np.pi * (np.outer(t, rng.uniform(0.2, 1.5, 2)))) * rng.normal(0, 1, 2)
    if frames > 3 and rng.random() < leaving:
        away = rng.choice([-1, 1], 2) * rng.uniform(0, 1.2, 2)
        centre += np.outer(np.sin(np.pi * np.clip(t * 1.3 - 0.15, 0, 1)), away)
    size = np.exp(rng.uniform(np.log(smallest), np.log(0.85))) * np.exp(t * rng.normal(0, 0.25))
    angle = rng.normal(0, 0.3) + t * rng.normal(0, 0.4)
    bend = rng.uniform(0, 0.08) * np.sin(2 * np.pi * (t * rng.uniform(0, 1.5) + rng.random()))
    return Path2D(centre, size, angle, bend)


def warp_onto_frame(
    rgba: NDArray[np.uint8], path: Path2D, t: int, side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Warp a cut-out to its position on frame t -> colour times alpha (side, side, 3), alpha (side, side)"""
    height, width = rgba.shape[:2]
    scale = path.size[t] * side / max(height, width)
    if scale < 0.5:  # warping does not average, so shrink first
        rgba = cv2.resize(rgba, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        rgba = rgba.reshape(*rgba.shape[:2], 4)
        height, width = rgba.shape[:2]
        scale = path.size[t] * side / max(height, width)
    rgba = bend(rgba, float(path.bend[t]))
    cos, sin = np.cos(path.angle[t]) * scale, np.sin(path.angle[t]) * scale
    rotation = np.array([[cos, -sin], [sin, cos]])
    shift = path.centre[t] * side - rotation @ np.array([width / 2, height / 2])
    warp = np.column_stack([rotation, shift]).astype(np.float32)
    premultiplied = rgba.astype(np.float32)
    premultiplied[..., 3] /= 255
    premultiplied[..., :3] *= premultiplied[..., 3:]
    moved = cv2.warpAffine(premultiplied, warp, (side, side), flags=cv2.INTER_LINEAR)
    return moved[..., :3], moved[..., 3]


def bend(rgba: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    """Shift the rows along a sine, so that the object is not quite rigid."""
    if abs(amount) < 0.01:
        return rgba
    height, width = rgba.shape[:2]
    rows = np.arange(height, dtype=np.float32)
    offset = (amount * width * np.sin(2 * np.pi * rows / height)).astype(np.float32)
    x = np.arange(width, dtype=np.float32)[None] + offset[:, None]
    y = np.repeat(rows[:, None], width, axis=1)
    return cv2.remap(rgba, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def recolour(rng: np.random.Generator, rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mirror one cut-out at random, and change its light and colour."""
    rgba = rgba[:, ::-1] if rng.random() < 0.5 else rgba
    gain, offset = rng.uniform(0.6, 1.3) * rng.uniform(0.85, 1.15, 3), rng.uniform(-25, 25)
    colour = np.clip(rgba[..., :3] * gain + offset, 0, 255)
    if rng.random() < 0.1:
        colour = np.repeat(colour.mean(-1, keepdims=True), 3, axis=-1)
    return np.ascontiguousarray(np.dstack([colour, rgba[..., 3]]).astype(np.uint8))


def moving_background(rng: np.random.Generator, materials: Materials, side: int, frames: int) -> NDArray[np.float32]:
    """A photograph (or a texture) under a moving camera: -> (T, side, side, 3)"""
    if len(materials.textures) and (not len(materials.photos) or rng.random() < 0.15):
        source = materials.textures[int(rng.integers(len(materials.textures)))]
    else:
        source = np.asarray(materials.labels.images[int(rng.choice(materials.photos))])
    size = source.shape[0]
    zoom = rng.uniform(0.45, 0.95) * size / side
    t = np.linspace(0, 1, max(frames, 2))[:frames]
    slack = (size - zoom * side) / 2
    start, end = rng.uniform(-1, 1, 2) * slack, rng.uniform(-1, 1, 2) * slack
    steady = rng.random() < 0.4
    flip = rng.choice([-1, 1])
    result = np.empty((frames, side, side, 3), np.float32)
    for i, now in enumerate(t):
        middle = size / 2 + start + (0 if steady else now) * (end - start) * 0.5
        z = zoom * (1 if steady else 1 + 0.1 * now)
        warp = np.array([[flip * z, 0, middle[0] - flip * z * side / 2], [0, z, middle[1] - z * side / 2]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        result[i] = cv2.warpAffine(source, warp, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return result


def add_camera_effects(rng: np.random.Generator, images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Add drifting light, blur and noise to a whole clip: (T, S, S, 3) -> (T, S, S, 3)"""
    drift = 1 + rng.normal(0, 0.08) * np.linspace(0, 1, len(images))
    gain = rng.uniform(0.7, 1.2) * rng.uniform(0.92, 1.08, 3)
    images = images * (drift[:, None, None, None] * gain).astype(np.float32)
    if rng.random() < 0.4:
        sigma = rng.uniform(0.4, 1.3)
        images = np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images])
    if rng.random() < 0.5:
        images = images + rng.normal(0, rng.uniform(2, 10), images.shape).astype(np.float32)
    return np.clip(images, 0, 255).astype(np.uint8)
