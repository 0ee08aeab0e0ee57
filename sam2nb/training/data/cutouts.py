"""Cut-outs, which are images of single objects with an outline, and textures for backgrounds.

They are read once from the fetched packages, trimmed to the visible part, shrunk and kept in one array.
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
MIN_SIDE = 90  # smaller cut-outs blur when they are upsampled
MIN_FILL, MAX_FILL = 0.15, 0.97  # of the trimmed rectangle: neither thin lines nor filled cards
TEXTURE_SIDE, MIN_TEXTURE_SIDE, MAX_TEXTURES = 256, 200, 400
MIN_CONTRAST, MIN_BRIGHTNESS = 12, 25  # standard deviation and mean of a texture, of 255


@dataclass(frozen=True)
class CutOuts:
    """N cut-outs in one array.

    rgba: (N, 256, 256, 4), each in the top left corner. sizes: (N, 2) as (height, width).
    weights: (N,), the probability of choosing each. names: the files they come from.
    """

    rgba: NDArray[np.uint8]
    sizes: NDArray[np.int16]
    weights: NDArray[np.float64]
    names: tuple[str, ...] = ()

    def only(self, rows: NDArray[np.bool_]) -> CutOuts:
        """The same collection, of which only some are ever chosen: rows (N,) bool"""
        weights = np.where(rows, self.weights, 0.0)
        return replace(self, weights=weights / weights.sum())

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """-> (h, w, 4)"""
        height, width = self.sizes[index]
        return np.asarray(self.rgba[index, :height, :width])


def read_cutout(path: Path) -> NDArray[np.uint8] | None:
    """Trimmed and shrunk RGBA (h, w, 4), or None if the image is no cut-out (opaque, too small, too thin)."""
    with Image.open(path) as image:
        rgba = np.asarray(image.convert("RGBA"))
    alpha = rgba[..., 3] > 127
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not len(rows):
        return None
    rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    fill = (rgba[..., 3] > 127).mean()
    if max(rgba.shape[:2]) < MIN_SIDE or not MIN_FILL < fill < MAX_FILL:
        return None
    return shrink_to_fit(rgba)


def shrink_to_fit(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink a cut-out (h, w, 4) whose longer side is over 256 pixels."""
    scale = min(1.0, CUTOUT_SIDE / max(rgba.shape[:2]))
    if scale < 1:
        rgba = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return rgba[:CUTOUT_SIDE, :CUTOUT_SIDE]


def collect_cutouts(paths: Sequence[tuple[Path, float]], folder: Path) -> int:
    """Write all usable cut-outs as arrays into `folder`; returns their number.

    paths: (file, weight of its whole source); the weight is shared among the usable files of that source.
    Raises ValueError if no file is usable.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found, weights, names = [], [], []
    for path, weight in paths:
        try:
            rgba = read_cutout(path)
        except OSError as error:
            logger.warning("skipping cut-out %s: %s", path, error)
            continue
        if rgba is not None:
            found.append(rgba)
            weights.append(weight)
            names.append(str(path))
    if not found:
        raise ValueError(f"none of {len(paths)} files is a usable cut-out")
    np.save(folder / "rgba.npy", stack_cutouts(found))
    np.save(folder / "sizes.npy", np.array([rgba.shape[:2] for rgba in found], np.int16))
    (folder / "names.txt").write_text("\n".join(names))
    np.save(folder / "weights.npy", _shared(np.asarray(weights, np.float64)))
    return len(found)


def stack_cutouts(cutouts: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Put cut-outs (h, w, 4) of different sizes into one array (N, 256, 256, 4), each in the top left corner."""
    stacked = np.zeros((len(cutouts), CUTOUT_SIDE, CUTOUT_SIDE, 4), np.uint8)
    for row, rgba in zip(stacked, cutouts, strict=True):
        row[: rgba.shape[0], : rgba.shape[1]] = rgba
    return stacked


def _shared(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide every source's weight among its files: (N,) -> (N,) with sum 1"""
    shares = np.zeros(len(weights))
    for weight in np.unique(weights):
        same = weights == weight
        shares[same] = weight / same.sum()
    return shares / shares.sum()


def open_cutouts(folder: Path) -> CutOuts:
    """Memory-map the cut-outs in `folder`; FileNotFoundError if they were not made yet."""
    folder = Path(folder)
    if not (folder / "weights.npy").exists():
        raise FileNotFoundError(f"{folder} holds no cut-outs; run `python -m sam2nb train --prepare` first")
    return CutOuts(
        np.load(folder / "rgba.npy", mmap_mode="r"),
        np.load(folder / "sizes.npy"),
        np.load(folder / "weights.npy"),
        tuple((folder / "names.txt").read_text().split("\n")),
    )


def collect_textures(paths: Sequence[Path], file: Path) -> int:
    """Write colourful textures of at least 200 pixels as one (N, 256, 256, 3) array; returns N, at most 400."""
    kept = []
    for path in paths:
        try:
            with Image.open(path) as image:
                if min(image.size) < MIN_TEXTURE_SIDE:
                    continue
                texture = np.asarray(image.convert("RGB").resize((TEXTURE_SIDE, TEXTURE_SIDE)))
        except OSError as error:
            logger.warning("skipping texture %s: %s", path, error)
            continue
        if texture.std() > MIN_CONTRAST and texture.mean() > MIN_BRIGHTNESS:
            kept.append(texture)
        if len(kept) == MAX_TEXTURES:
            break
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    np.save(file, np.stack(kept) if kept else np.zeros((0, TEXTURE_SIDE, TEXTURE_SIDE, 3), np.uint8))
    return len(kept)
