"""Cut-outs: pictures of single things with an exact outline (alpha), ready to be pasted.

Read once from the fetched packages, trimmed to the visible part, shrunk to at most 256 pixels and kept in one array.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

logger = logging.getLogger(__name__)

CUTOUT_SIDE = 256
MIN_SIDE = 90  # smaller pictures turn to mush when enlarged
MIN_FILL, MAX_FILL = 0.15, 0.97  # of the trimmed rectangle: neither lines nor filled cards
TEXTURE_SIDE = 256


@dataclass(frozen=True)
class CutOuts:
    """rgba: (N, 256, 256, 4) uint8, each picture in the top left corner; sizes: (N, 2) as (height, width);
    weights: (N,) how often to draw each, summing to 1; names: the files they come from."""

    rgba: NDArray[np.uint8]
    sizes: NDArray[np.int16]
    weights: NDArray[np.float64]
    names: tuple[str, ...] = ()

    def only(self, rows: NDArray[np.bool_]) -> CutOuts:
        """The same collection, of which only some are drawn: rows (N,) bool"""
        weights = np.where(rows, self.weights, 0.0)
        return replace(self, weights=weights / weights.sum())

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """-> (h, w, 4)"""
        height, width = self.sizes[index]
        return np.asarray(self.rgba[index, :height, :width])


def read_cutout(path: Path) -> NDArray[np.uint8] | None:
    """Trimmed and shrunk RGBA (h, w, 4), or None where the picture is unfit (opaque, too small, too thin)."""
    with Image.open(path) as picture:
        rgba = np.asarray(picture.convert("RGBA"))
    alpha = rgba[..., 3] > 127
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not len(rows):
        return None
    rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    fill = (rgba[..., 3] > 127).mean()
    if max(rgba.shape[:2]) < MIN_SIDE or not MIN_FILL < fill < MAX_FILL:
        return None
    scale = min(1.0, CUTOUT_SIDE / max(rgba.shape[:2]))
    if scale < 1:
        rgba = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return rgba[:CUTOUT_SIDE, :CUTOUT_SIDE]


def collect_cutouts(paths: Sequence[tuple[Path, float]], folder: Path) -> int:
    """Write all fit cut-outs as arrays into `folder`; returns their number.

    paths: (file, weight of its whole source); the weight is shared among the fit files of that source.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures, shares, names = [], [], []
    for path, share in paths:
        try:
            rgba = read_cutout(path)
        except OSError as error:
            logger.warning("skipping cut-out %s: %s", path, error)
            continue
        if rgba is not None:
            pictures.append(rgba)
            shares.append(share)
            names.append(str(path))
    if not pictures:
        raise ValueError(f"none of {len(paths)} files is a usable cut-out")
    stored = np.zeros((len(pictures), CUTOUT_SIDE, CUTOUT_SIDE, 4), np.uint8)
    for row, rgba in zip(stored, pictures, strict=True):
        row[: rgba.shape[0], : rgba.shape[1]] = rgba
    shares_array = np.asarray(shares, np.float64)
    weights = np.zeros(len(pictures))
    for share in np.unique(shares_array):
        same = shares_array == share
        weights[same] = share / same.sum()
    np.save(folder / "rgba.npy", stored)
    np.save(folder / "sizes.npy", np.array([rgba.shape[:2] for rgba in pictures], np.int16))
    (folder / "names.txt").write_text("\n".join(names))
    np.save(folder / "weights.npy", weights / weights.sum())
    return len(pictures)


def open_cutouts(folder: Path) -> CutOuts:
    """Raises FileNotFoundError that says how to make them."""
    folder = Path(folder)
    if not (folder / "weights.npy").exists():
        raise FileNotFoundError(f"{folder} holds no cut-outs; run `python -m sam2nb train --prepare` first")
    return CutOuts(
        np.load(folder / "rgba.npy", mmap_mode="r"),
        np.load(folder / "sizes.npy"),
        np.load(folder / "weights.npy"),
        tuple((folder / "names.txt").read_text().split("\n")),
    )


def collect_textures(paths: Sequence[Path], file: Path, limit: int = 400) -> int:
    """Colourful textures of at least 200 pixels -> one (N, 256, 256, 3) array; returns N."""
    kept = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                if min(picture.size) < 200:
                    continue
                image = np.asarray(picture.convert("RGB").resize((TEXTURE_SIDE, TEXTURE_SIDE)))
        except OSError as error:
            logger.warning("skipping texture %s: %s", path, error)
            continue
        if image.std() > 12 and image.mean() > 25:
            kept.append(image)
        if len(kept) == limit:
            break
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    np.save(file, np.stack(kept) if kept else np.zeros((0, TEXTURE_SIDE, TEXTURE_SIDE, 3), np.uint8))
    return len(kept)
