"""Masks as files for the browser: layers with smooth edges and without specks, a cut-out, COCO."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sam2nb import plotting
from sam2nb.export.masks import save_coco
from sam2nb.masks.regions import drop_small_islands
from sam2nb.masks.rle import rle_from_mask
from sam2nb.media.images import shrunk_size
from sam2nb.predict.everything.records import Record, record_of_mask

LONGEST_SHOWN = 1024  # pixels: the longer side of what is sent to the browser
LONGEST_PREVIEW = 512  # of the masks under the mouse, which come often
SENT_QUALITY = 88  # of the JPEG that is sent to the browser
SPECK = 0.0005  # of the image: smaller islands of a mask are not shown
EDGE = 3  # pixels over which the edge of a mask fades
WHITE_BY_OPACITY = bytes(range(256))


def shown_size(size_hw: tuple[int, int], longest: int = LONGEST_SHOWN) -> tuple[int, int]:
    """Height and width in which an image or its masks are sent to the browser."""
    return shrunk_size(size_hw, longest)


def layer_png(mask: np.ndarray) -> tuple[bytes, list[int]]:
    """A mask, (h, w) bool, as a white PNG whose opacity is 255 inside; the browser gives it a colour.

    -> the file, cropped to the mask and its edge, and the box that it covers: x1, y1, x2, y2
    """
    kept, (rows, columns) = shown_part(mask)
    opacity = cv2.blur(kept.astype(np.uint8) * 255, (EDGE, EDGE)) if min(kept.shape) > EDGE else kept * np.uint8(255)
    picture = Image.fromarray(opacity, "L")
    picture = picture.convert("P") if picture.mode != "P" else picture
    picture.putpalette([255] * 768)
    target = io.BytesIO()
    picture.save(target, "png", transparency=WHITE_BY_OPACITY, compress_level=1)
    return target.getvalue(), [columns.start, rows.start, columns.stop, rows.stop]


def shown_part(mask: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
    """A mask, (h, w) bool, without its specks, cropped to what is inside and an edge.

    -> the part, its rows and columns
    """
    rows, columns = (_around(mask.any(axis=axis)) for axis in (1, 0))
    kept, _ = drop_small_islands(mask[rows, columns], int(mask.size * SPECK))
    return kept, (rows, columns)


def _around(inside: np.ndarray) -> slice:
    """The part of a line that holds all that is inside, and an edge around it; at least one pixel."""
    found = np.flatnonzero(inside)
    if len(found) == 0:
        return slice(0, 1)
    return slice(max(0, int(found[0]) - EDGE), min(len(inside), int(found[-1]) + 1 + EDGE))


def part_jpeg(image: np.ndarray, region: Sequence[float]) -> tuple[list[int], bytes]:
    """A part of an image (H, W, 3) that is looked at closely, as a JPEG file.

    region: x1, y1, x2, y2 in pixels. -> the same as whole numbers, and the file
    """
    x0, y0, x1, y1 = (int(value) for value in region)
    part = image[max(y0, 0) : y1, max(x0, 0) : x1]
    return [x0, y0, x1, y1], plotting.jpeg_bytes(part, SENT_QUALITY, longest=2 * LONGEST_SHOWN)


def cut_out_png(image: np.ndarray, mask: np.ndarray) -> bytes:
    """The pixels of an image (H, W, 3) inside a mask (H, W), cropped to it, transparent outside, as a PNG file.

    Raises ValueError for an empty mask.
    """
    if not mask.any():
        raise ValueError("there is no mask to cut out")
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    rgba = np.dstack((image[part], mask[part].astype(np.uint8) * 255))
    target = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(target, "png")
    return target.getvalue()


def coco_of_masks(
    masks: np.ndarray, scores: Sequence[float | None], names: Sequence[str | None], size_hw: tuple[int, int]
) -> bytes:
    """Masks (N, H, W) bool as a COCO file, see `save_coco`; None for a score or a name that is not known."""
    records = []
    for mask, score, name in zip(masks, scores, names, strict=True):
        known = {"predicted_iou": score, "class_name": name}
        records.append(record_of_mask(rle_from_mask(mask), **{k: v for k, v in known.items() if v is not None}))
    return coco_file(records, size_hw)


def coco_file(records: Sequence[Record], size_hw: tuple[int, int]) -> bytes:
    """Records as the bytes of a COCO file."""
    with tempfile.TemporaryDirectory() as folder:
        return save_coco(records, Path(folder) / "masks.json", size_hw).read_bytes()
