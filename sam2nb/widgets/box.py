"""Draw one box in the notebook, with jupyter_bbox_widget."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from sam2nb import plotting
from sam2nb.widgets.layers import SENT_QUALITY
from sam2nb.widgets.still import encode_and_close, with_static_picture


class BoxPrompt:
    """Draw one box with jupyter_bbox_widget and read it as `box`. It starts with a box, so it works without a person.

    image: HxWx3 or HxW array, PIL image or tensor. box: the first box (x1, y1, x2, y2) in image pixels.
    """

    def __init__(self, image: Any, box: Any, name: str = "object") -> None:
        from jupyter_bbox_widget import BBoxWidget

        self.image = plotting.as_rgb(image)
        self._first = np.asarray(box, dtype=np.float32).reshape(4)
        x1, y1, x2, y2 = (float(value) for value in self._first)
        encoded = base64.b64encode(plotting.jpeg_bytes(self.image, SENT_QUALITY)).decode()
        self.widget = BBoxWidget(
            image=f"data:image/jpeg;base64,{encoded}",
            classes=[name],
            colors=[plotting.BOX_COLOR],
            bboxes=[{"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "label": name}],
            hide_buttons=True,
        )

    @property
    def boxes(self) -> np.ndarray:
        """All boxes drawn: (N, 4) float32 as x1, y1, x2, y2."""
        rows = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in self.widget.bboxes]
        return np.array(rows, dtype=np.float32).reshape(-1, 4)

    @property
    def box(self) -> np.ndarray:
        """The box drawn last, or the first one if all were deleted: (4,) float32."""
        return self.boxes[-1] if len(self.boxes) else self._first

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        ax = plotting.show_boxes(self.boxes, plotting.show_image(self.image))
        corners = ", ".join(f"{value:.0f}" for value in self.box)
        bundle = self.widget._repr_mimebundle_(**kwargs)
        return with_static_picture(bundle, encode_and_close(ax.figure), f"BoxPrompt: box {corners}")
