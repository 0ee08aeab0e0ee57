"""Explore the masks of everything mode: numbers under the mouse, sliders, a selection to export.

    explorer = MaskExplorer(image, records)      # records made with all thresholds open
    explorer                                     # on the last line of a cell: shows it
    explorer.kept, explorer.selected             # the records that pass, and those that were clicked

All masks travel to the browser once, as runs of pixels. Moving a slider filters them there as `records.filter_records`
does here; the model does not run again. A static picture of the current setting is stored beside the live view, for
viewers that cannot run widgets.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets

from sam2nb import plotting
from sam2nb.export.masks import draw_overlay
from sam2nb.masks.rle import Rle, as_rle
from sam2nb.predict.everything.records import Record, filter_records
from sam2nb.widgets.bundle import joined, style
from sam2nb.widgets.layers import SENT_QUALITY, coco_file, cut_out_png, shown_size
from sam2nb.widgets.still import first_line, with_static_picture

logger = logging.getLogger(__name__)

STILL = 700  # pixels: the longer side of the static picture
MODULES = ("dom", "layout", "layers", "kernel", "runs", "mask_explorer")
THRESHOLDS = ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "min_area")
DEFAULTS = {name: inspect.signature(filter_records).parameters[name].default for name in THRESHOLDS}


class MaskExplorer(anywidget.AnyWidget):
    """An image with its masks: pointing at one names it, sliders filter, clicks select.

    image: HxWx3 or HxW array, PIL image or tensor. records: made with the thresholds 0, 0 and 1, so that the whole
    range of the sliders has an effect. alt: the image in words. thresholds: the first setting, under the official
    names; raises ValueError for any other name.

    `thresholds` holds the current values of the sliders, by name.
    """

    _esm = joined(*MODULES)
    _css = style("widgets")

    picture = traitlets.Bytes().tag(sync=True)
    size = traitlets.List(traitlets.Int()).tag(sync=True)  # width and height of the image
    shown = traitlets.List(traitlets.Int()).tag(sync=True)  # and of what is sent of it
    palette = traitlets.List(list(plotting.PALETTE)).tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    first = traitlets.Bytes().tag(sync=True)  # see `pack_runs`
    starts = traitlets.Bytes().tag(sync=True)
    lengths = traitlets.Bytes().tag(sync=True)
    numbers = traitlets.Bytes().tag(sync=True)  # float64: area, predicted IoU, stability, x, y, w, h of each mask
    thresholds = traitlets.Dict().tag(sync=True)
    chosen = traitlets.List(traitlets.Int()).tag(sync=True)  # indices of the selected records

    def __init__(
        self, image: Any, records: Sequence[Record], alt: str = "an image with its masks", **thresholds: float
    ) -> None:
        if unknown := set(thresholds) - set(THRESHOLDS):
            raise ValueError(f"thresholds must be some of {', '.join(THRESHOLDS)}, got {', '.join(sorted(unknown))}")
        self.image = plotting.as_rgb(image)
        self.records = list(records)
        size_hw = self.image.shape[:2]
        shown_hw = shown_size(size_hw)
        first, starts, lengths = pack_runs([as_rle(r["segmentation"]) for r in self.records], shown_hw)
        numbers = [[r["area"], r["predicted_iou"], r["stability_score"], *r["bbox"]] for r in self.records]
        super().__init__(
            picture=plotting.jpeg_bytes(self.image, SENT_QUALITY, longest=max(shown_hw)),
            size=list(size_hw[::-1]),
            shown=list(shown_hw[::-1]),
            alt=alt,
            first=first.tobytes(),
            starts=starts.tobytes(),
            lengths=lengths.tobytes(),
            numbers=np.array(numbers, "<f8").tobytes(),
            thresholds={**DEFAULTS, **thresholds},
        )
        self.on_msg(self._receive)

    @property
    def kept(self) -> list[Record]:
        """The records that pass the current thresholds, best first."""
        return filter_records(self.records, **self.thresholds)

    @property
    def selected(self) -> list[Record]:
        """The records that were clicked, in their order."""
        return [self.records[index] for index in self.chosen]

    @property
    def drawn(self) -> np.ndarray:
        """The image with the masks that pass: (H, W, 3) uint8"""
        return draw_overlay(self.image, self.kept)

    def _receive(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        """Answer the request for a file: of the selected masks, or of all that pass."""
        records = self.selected or self.kept
        try:
            if content["format"] == "png":
                masks = (as_rle(record["segmentation"]).to_mask() for record in records)
                covered = np.zeros(self.image.shape[:2], bool)
                for mask in masks:
                    covered |= mask
                answer = {"name": "cut_out.png", "type": "image/png"}
                buffers = [cut_out_png(self.image, covered)]
            else:
                answer = {"name": "masks_coco.json", "type": "application/json"}
                buffers = [coco_file(records, self.image.shape[:2])]
        except Exception as problem:  # an exception in a callback would be lost
            logger.debug("export failed", exc_info=True)
            answer, buffers = {"problem": first_line(problem)}, []
        self.send({**answer, "request": content.get("request")}, buffers)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        kept = self.kept
        still = plotting.jpeg_bytes(draw_overlay(self.image, kept), longest=STILL)
        return with_static_picture(bundle, still, f"MaskExplorer: {len(kept)} of {len(self.records)} masks")


def pack_runs(rles: Sequence[Rle], size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks in another size as runs of pixels, row by row.

    size_hw: of the label map in the browser. -> where the runs of each mask begin (N + 1), starts (R) and lengths (R)
    of all runs, uint32
    """
    packed = [_runs_of(rle, size_hw) for rle in rles]
    counts = [len(starts) for starts, _ in packed]
    empty = [np.zeros(0, "<u4")]
    starts, lengths = (np.concatenate([*empty, *(pair[part] for pair in packed)]) for part in (0, 1))
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype("<u4"), starts, lengths


def _runs_of(rle: Rle, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of one mask's runs; a mask too small for the size keeps one pixel."""
    if rle.area == 0:
        return np.zeros(0, "<u4"), np.zeros(0, "<u4")
    x0, y0, x1, y1 = rle.box
    columns, rows = _samples(x0, x1, rle.size_hw[1], size_hw[1]), _samples(y0, y1, rle.size_hw[0], size_hw[0])
    window = rle.window(x0, y0, x1 + 1, y1 + 1)[np.ix_(rows[1] - y0, columns[1] - x0)]
    padded = np.zeros((window.shape[0], window.shape[1] + 2), np.int8)
    padded[:, 1:-1] = window
    if not window.any():
        padded[len(rows[0]) // 2, 1 + len(columns[0]) // 2] = 1
    changes = np.diff(padded, axis=1)
    at_row, begin = np.nonzero(changes == 1)
    _, end = np.nonzero(changes == -1)
    starts = (rows[0][at_row].astype(np.int64) * size_hw[1] + columns[0][0] + begin).astype("<u4")
    return starts, (end - begin).astype("<u4")


def _samples(first: int, last: int, length: int, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """The shown pixels that lie over first..last, at least one, and the pixels at their centres."""
    centers = ((np.arange(shown) + 0.5) * length / shown).astype(np.int64)
    over = np.flatnonzero((centers >= first) & (centers <= last))
    if len(over) == 0:
        over = np.array([min(first * shown // length, shown - 1)])
    return over, np.clip(centers[over], first, last)
