"""Sliders for the thresholds of everything mode, in a notebook.

    explorer = ThresholdExplorer(image, records)      # records made with all thresholds open
    explorer                                          # last line of a cell: shows it
    explorer.kept                                     # the records that pass

Moving a slider filters records that are already there (`records.filter_records`); the model is not asked again. A
picture of the first setting is stored beside the live view, for places that cannot run widgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets
import numpy as np

from sam2nb import plotting
from sam2nb.export.masks import draw_overlay
from sam2nb.predict.everything.records import Record, filter_records
from sam2nb.widgets.prompt import with_static_picture

LONGEST_SHOWN = 700  # pixels of the picture that travels to the browser
NAMES = {
    "pred_iou_thresh": "predicted IoU above",
    "stability_score_thresh": "stability at least",
    "box_nms_thresh": "box overlap at most",
}


class ThresholdExplorer:
    """A picture with its masks under three sliders.

    image: anything a picture can be. records: from a generator with thresholds 0, 0 and 1, so that sliders can go all
    the way. thresholds: the first setting, by official's names.
    """

    def __init__(self, image: Any, records: Sequence[Record], **thresholds: float) -> None:
        start = {"pred_iou_thresh": 0.8, "stability_score_thresh": 0.95, "box_nms_thresh": 0.7, **thresholds}
        if unknown := set(start) - set(NAMES):
            raise ValueError(f"thresholds must be some of {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
        self.image = plotting.as_picture(image)
        self.records = list(records)
        self.sliders = {
            name: ipywidgets.FloatSlider(
                value=start[name],
                min=0.0,
                max=1.0,
                step=0.01,
                description=text,
                continuous_update=False,
                style={"description_width": "11em"},
                layout={"width": "30em"},
            )
            for name, text in NAMES.items()
        }
        self._picture = ipywidgets.Image(format="jpeg")
        self._caption = ipywidgets.Label()
        for slider in self.sliders.values():
            slider.observe(self._update, names="value")
        self.widget = ipywidgets.VBox([*self.sliders.values(), self._caption, self._picture])
        self._update()

    @property
    def thresholds(self) -> dict[str, float]:
        """Where the sliders stand."""
        return {name: slider.value for name, slider in self.sliders.items()}

    @property
    def kept(self) -> list[Record]:
        """The records that pass."""
        return filter_records(self.records, **self.thresholds)

    @property
    def drawn(self) -> np.ndarray:
        """The picture with the masks that pass: (H, W, 3) uint8"""
        return draw_overlay(self.image, self.kept)

    def _update(self, _change: Any = None) -> None:
        self._caption.value = f"{len(self.kept)} of {len(self.records)} masks"
        self._picture.value = plotting.image_bytes(self.drawn, longest=LONGEST_SHOWN)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        still = plotting.image_bytes(self.drawn, longest=LONGEST_SHOWN)
        return with_static_picture(
            self.widget._repr_mimebundle_(**kwargs), still, "ThresholdExplorer", self._caption.value
        )
