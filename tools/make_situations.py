"""Compose clips of the situations in which trackers fail: growing, fast, leaving and returning, look-alikes.

    python -m sam2nb train --prepare --photos 4         # fetch the sources, collect the cut-outs
    python tools/make_situations.py --out /tmp/situations --clips 4
    python -m sam2nb evaluate --model sam2nb_nano --clips /tmp/situations/clips

Every clip has one annotated object; whatever else moves in it is a distractor. Parts and masks are those of
`make_sample.py`: held out from training, exact by construction; ATTRIBUTION.csv names them. The clips are for
measuring; three of them are in data/clips/situations, for notebook 04.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from make_sample import CLIP_HW, FAMILIES, Parts, attribution, save_image, save_masks, write_attribution
from numpy.typing import NDArray

from sam2nb.training.data.compose import (
    VISIBLE,
    Materials,
    Path2D,
    add_camera_effects,
    moving_background,
    recolour,
    warp_onto_frame,
)
from sam2nb.training.recipes.nano import read_recipe

FRAMES = 40
TOP = (1 - CLIP_HW[0] / CLIP_HW[1]) / 2  # of the visible part of a square composition
MIDDLE = 0.5
FEWEST_PIXELS = 150  # of the object on the first frame
ATTEMPTS = 50

Situation = Callable[[np.random.Generator, NDArray[np.float64]], list[Path2D]]


def growing(rng: np.random.Generator, t: NDArray[np.float64]) -> list[Path2D]:
    """An object that comes closer, from a tenth to about half of the frame."""
    start = np.array([rng.uniform(0.25, 0.75), rng.uniform(0.4, 0.6)])
    return [path(t, start + np.outer(t, (MIDDLE - start) * 0.7), 0.1 * 5.0**t, rng)]


def fast(rng: np.random.Generator, t: NDArray[np.float64]) -> list[Path2D]:
    """A small object that crosses the frame several times, by up to its own length from frame to frame."""
    phase, turns = rng.uniform(0, 2 * np.pi), rng.uniform(2.0, 3.2)
    x = MIDDLE + 0.36 * np.sin(2 * np.pi * turns * t + phase)
    y = MIDDLE + 0.14 * np.sin(2 * np.pi * turns * 1.37 * t)
    return [path(t, np.stack((x, y), axis=1), np.full(len(t), rng.uniform(0.12, 0.2)), rng)]


def leaving(rng: np.random.Generator, t: NDArray[np.float64]) -> list[Path2D]:
    """An object that leaves on one side and returns on the other."""
    side = rng.choice([-1, 1])
    x = MIDDLE + side * np.where(t < 0.5, 2.4 * t, -2.4 * (1 - t))
    y = rng.uniform(0.42, 0.58) + 0.04 * np.sin(2 * np.pi * t)
    return [path(t, np.stack((x, y), axis=1), np.full(len(t), rng.uniform(0.18, 0.28)), rng)]


def look_alike(rng: np.random.Generator, t: NDArray[np.float64]) -> list[Path2D]:
    """An object that passes behind its twin."""
    height, size = rng.uniform(0.45, 0.55), rng.uniform(0.16, 0.24)
    target = np.stack((0.25 + 0.5 * t, height + 0.05 * np.sin(2 * np.pi * t)), axis=1)
    twin = np.stack((0.72 - 0.42 * t, np.full(len(t), height + 0.04)), axis=1)
    sizes = np.full(len(t), size)
    return [path(t, target, sizes, rng), path(t, twin, sizes, rng)]


def look_alike_leaving(rng: np.random.Generator, t: NDArray[np.float64]) -> list[Path2D]:
    """An object that leaves and returns, while its twin stays."""
    [target] = leaving(rng, t)
    x = rng.choice([0.3, 0.7]) + 0.05 * np.sin(2 * np.pi * t)
    twin = np.stack((x, np.full(len(t), MIDDLE + rng.choice([-1, 1]) * 0.12)), axis=1)
    return [target, path(t, twin, target.size, rng)]


SITUATIONS: dict[str, Situation] = {
    situation.__name__: situation for situation in (growing, fast, leaving, look_alike, look_alike_leaving)
}


def path(
    t: NDArray[np.float64], centre: NDArray[np.float64], size: NDArray[np.float64], rng: np.random.Generator
) -> Path2D:
    """A path with a little rotation and bending."""
    angle = rng.normal(0, 0.15) + t * rng.normal(0, 0.3)
    bend = rng.uniform(0, 0.06) * np.sin(2 * np.pi * (t * rng.uniform(0, 1.5) + rng.random()))
    return Path2D(centre, size, angle, bend)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--clips", type=int, default=4, help="number of clips of every situation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=SITUATIONS, nargs="*", default=list(SITUATIONS))
    options = parser.parse_args(arguments)
    parts = Parts.held_out_by(read_recipe("nano"))
    rows = []
    for name in options.only:
        for index in range(options.clips):
            images, masks, materials = compose_situation(name, parts, index, options.seed)
            folder = options.out / "clips" / f"{name}_{index:02d}"
            for t in range(FRAMES):
                save_image(images[t], folder / "frames" / f"{t:05d}.jpg")
                save_masks(masks[t, None], folder / "masks" / f"{t:05d}.png")
            rows.append(attribution(folder.name, 1, FAMILIES[index % len(FAMILIES)], parts, materials))
    write_attribution(options.out / "ATTRIBUTION.csv", rows)
    print(f"{options.out}: {options.clips} clips each of {', '.join(options.only)}")
    return 0


def compose_situation(
    name: str, parts: Parts, index: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Materials]:
    """The index-th clip of a situation: -> images (T, H, W, 3), masks of its object (T, H, W), and its parts

    Raises RuntimeError if no attempt shows the object on the first frame.
    """
    rng = np.random.default_rng((seed, list(SITUATIONS).index(name), index))
    for _ in range(ATTEMPTS):
        materials = parts.choose(rng, FAMILIES[index % len(FAMILIES)])
        paths = SITUATIONS[name](rng, np.linspace(0, 1, FRAMES))
        images, masks = compose_paths(rng, materials, paths)
        if masks[0].sum() >= FEWEST_PIXELS:
            return images, masks, materials
    raise RuntimeError(f"{ATTEMPTS} compositions of {name!r} without a visible object: are the cut-outs empty?")


def compose_paths(
    rng: np.random.Generator, materials: Materials, paths: Sequence[Path2D]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One cut-out on every path, the last in front: -> images (T, H, W, 3), masks of the first (T, H, W)"""
    height, width = CLIP_HW
    images = moving_background(rng, materials, width, FRAMES)
    masks = np.zeros((FRAMES, width, width), bool)
    rows = np.flatnonzero(materials.cutouts.weights > 0)
    rgba = recolour(rng, materials.cutouts[int(rng.choice(rows))])
    for t in range(FRAMES):
        for number, moves in enumerate(paths):
            colour, alpha = warp_onto_frame(rgba, moves, t, width)
            images[t] = images[t] * (1 - alpha[..., None]) + colour
            covered = alpha > VISIBLE
            masks[t] = covered if number == 0 else masks[t] & ~covered
    top = round(TOP * width)
    return add_camera_effects(rng, images[:, top : top + height]), masks[:, top : top + height]


if __name__ == "__main__":
    raise SystemExit(main())
