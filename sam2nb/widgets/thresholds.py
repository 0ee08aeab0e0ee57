"""Sliders for the thresholds of everything mode.

    explorer = ThresholdExplorer(image, records)      # records made with all thresholds open
    explorer                                          # on the last line of a cell: shows it
    explorer.kept                                     # the records that pass

Moving a slider filters the existing records (`records.filter_records`); the model does not run again. A static picture
of the current setting is stored beside the live view, for viewers that cannot run widgets.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import ipywidgets
import numpy as np

from sam2nb import plotting
from sam2nb.export.masks import draw_overlay
from sam2nb.predict.everything.records import Record, filter_records
from sam2nb.widgets.prompt import with_static_picture

LONGEST_SHOWN = 700  # pixels: the longer side of what is sent to the browser
DESCRIPTIONS = {
    "pred_iou_thresh": "predicted IoU above",
    "stability_score_thresh": "stability at least",
    "box_nms_thresh": "box overlap at most",
}
DEFAULTS = {name: inspect.signature(filter_records).parameters[name].default for name in DESCRIPTIONS}


class ThresholdExplorer:
    """An image with its masks under three sliders.

    image: HxWx3 or HxW array, PIL image or tensor. records: made with the thresholds 0, 0 and 1, so that the whole
    range of the sliders has an effect. thresholds: the first setting, under the official names; raises ValueError for
    any other name.
    """

    def __init__(self, image: Any, records: Sequence[Record], **thresholds: float) -> None:
        start = {**DEFAULTS, **thresholds}
        if unknown := set(start) - set(DESCRIPTIONS):
            raise ValueError(f"thresholds must be some of {', '.join(DESCRIPTIONS)}, got {', '.join(sorted(unknown))}")
        self.image = plotting.as_rgb(image)
        self.records = list(records)
        self.sliders = {name: _slider(text, start[name]) for name, text in DESCRIPTIONS.items()}
        self._count = ipywidgets.Label()
        self._picture = ipywidgets.Image(format="jpeg")
        for slider in self.sliders.values():
            slider.observe(self._update, names="value")
        self.widget = ipywidgets.VBox([*self.sliders.values(), self._count, self._picture])
        self._update()

    @property
    def thresholds(self) -> dict[str, float]:
        """The current values of the sliders."""
        return {name: slider.value for name, slider in self.sliders.items()}

    @property
    def kept(self) -> list[Record]:
        """The records that pass the current thresholds."""
        return filter_records(self.records, **self.thresholds)

    @property
    def drawn(self) -> np.ndarray:
        """The image with the masks that pass: (H, W, 3) uint8"""
        return draw_overlay(self.image, self.kept)

    def _update(self, _change: Any = None) -> None:
        self._count.value = f"{len(self.kept)} of {len(self.records)} masks"
        self._picture.value = plotting.jpeg_bytes(self.drawn, longest=LONGEST_SHOWN)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = self.widget._repr_mimebundle_(**kwargs)
        return with_static_picture(bundle, self._picture.value, f"ThresholdExplorer: {self._count.value}")


def _slider(description: str, value: float) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(
        value=value,
        min=0.0,
        max=1.0,
        step=0.01,
        description=description,
        continuous_update=False,
        style={"description_width": "11em"},
        layout={"width": "30em"},
    )
