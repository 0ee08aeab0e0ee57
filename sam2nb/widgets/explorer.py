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
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets

from sam2nb import plotting
from sam2nb.export.masks import draw_overlay
from sam2nb.masks.rle import as_rle
from sam2nb.predict.everything.records import Record, filter_records
from sam2nb.widgets.base import Answer, ShownWidget
from sam2nb.widgets.bundle import joined
from sam2nb.widgets.layers import SENT_QUALITY, coco_file, cut_out_png, shown_size
from sam2nb.widgets.runs import pack_runs

STILL = 700  # pixels: the longer side of the static picture
MODULES = ("dom", "layout", "layers", "kernel", "runs", "mask_explorer")
THRESHOLDS = ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "min_area")
DEFAULTS = {name: inspect.signature(filter_records).parameters[name].default for name in THRESHOLDS}


class MaskExplorer(ShownWidget):
    """An image with its masks: pointing at one names it, sliders filter, clicks select.

    image: HxWx3 or HxW array, PIL image or tensor. records: made with the thresholds 0, 0 and 1, so that the whole
    range of the sliders has an effect. alt: the image in words. thresholds: the first setting, under the official
    names; raises ValueError for any other name.

    `thresholds` holds the current values of the sliders, by name.
    """

    _esm = joined(*MODULES)

    picture = traitlets.Bytes().tag(sync=True)
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
            size_hw,
            shown_hw,
            picture=plotting.jpeg_bytes(self.image, SENT_QUALITY, longest=max(shown_hw)),
            alt=alt,
            first=first.tobytes(),
            starts=starts.tobytes(),
            lengths=lengths.tobytes(),
            numbers=np.array(numbers, "<f8").tobytes(),
            thresholds={**DEFAULTS, **thresholds},
        )

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

    @property
    def answers(self) -> dict[str, Callable[[dict[str, Any]], Answer]]:
        """The function that answers a request of each kind."""
        return {"export": self._export}

    def static_picture(self) -> bytes:
        """The image with the masks that pass as a JPEG file, shown where widgets cannot run."""
        return plotting.jpeg_bytes(self.drawn, longest=STILL)

    def summary(self) -> str:
        """One line about the widget, for viewers without pictures."""
        return f"{len(self.kept)} of {len(self.records)} masks"

    def _export(self, content: dict[str, Any]) -> Answer:
        """A file of the selected masks, or of all that pass."""
        records = self.selected or self.kept
        if content["format"] == "png":
            covered = np.zeros(self.image.shape[:2], bool)
            for record in records:
                covered |= as_rle(record["segmentation"]).to_mask()
            return {"name": "cut_out.png", "type": "image/png"}, [cut_out_png(self.image, covered)]
        answer = {"name": "masks_coco.json", "type": "application/json"}
        return answer, [coco_file(records, self.image.shape[:2])]
