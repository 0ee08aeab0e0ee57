"""Prompt the model in the notebook: click, drag a box, see the mask.

    widget = PromptWidget(image, segment=mask_finder(predictor, image), points=[(330, 100)], labels=[1])
    widget                       # on the last line of a cell: shows it
    widget.mask, widget.score    # the prediction for the current prompts

Every widget takes its first prompts as arguments and segments with them at once, so that a notebook runs from top to
bottom without a person. A static picture of the result is stored beside the live view, for viewers that cannot run
widgets. The browser side is static/prompt_widget.js, plain JavaScript on a canvas, loaded by anywidget.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from PIL import Image

from sam2nb import plotting

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
LONGEST_SHOWN = 900  # pixels: the longer side of what is sent to the browser
OVERLAY_ALPHA = 140  # of 255
SENT_QUALITY = 88  # of the JPEG that is sent to the browser
OBJECT = 0  # the only object of a PromptWidget, which decides its colour


class Prediction(NamedTuple):
    """The result of `segment`: mask (H, W) bool and the model's own estimate of its IoU, or None."""

    mask: np.ndarray
    score: float | None = None


# points (N, 2) as (x, y) in image pixels, labels (N,) 1 or 0, box (4,) x1, y1, x2, y2 or None
Segment = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Any]


def mask_finder(predictor: Any, image: Any = None) -> Segment:
    """Make a `segment` function from a SAM2ImagePredictor.

    A single click is ambiguous, so it takes the best of three masks; with more prompts it takes the single mask.
    image: set in the predictor first; None keeps the image that is already set.
    """
    if image is not None:
        predictor.set_image(image)

    def segment(points: np.ndarray, labels: np.ndarray, box: np.ndarray | None) -> Prediction:
        ambiguous = box is None and len(points) == 1
        clicks = {"point_coords": points, "point_labels": labels} if len(points) else {}
        masks, scores, _ = predictor.predict(**clicks, box=box, multimask_output=ambiguous)
        best = int(np.argmax(scores))
        return Prediction(masks[best], float(scores[best]))

    return segment


class PromptWidget(anywidget.AnyWidget):
    """An image to click on. A left click includes, a shift or right click excludes, dragging draws a box.

    image: HxWx3 or HxW array, PIL image or tensor. segment: called with (points, labels, box) after every change;
    returns a mask, a (mask, score) pair or a Prediction. points, labels, box: the first prompts, in image pixels.
    Keyboard: arrows move the cursor (shift: faster), Enter includes, x excludes, b sets the corners of a box, u undoes
    the last prompt, c clears.

    Afterwards `points` (N, 2), `labels` (N,), `box` (4,) or None, `mask` (H, W) bool or None and `score` hold the
    current state. An exception of `segment` is shown below the image, but raised for the first prompts. Raises
    ValueError if the labels do not fit the points.
    """

    _esm = STATIC / "prompt_widget.js"
    _css = STATIC / "prompt_widget.css"

    # synchronised with the browser: the image (JPEG), the overlay (a transparent PNG), the prompts in image pixels
    picture = traitlets.Bytes().tag(sync=True)
    overlay = traitlets.Bytes().tag(sync=True)
    size = traitlets.List(traitlets.Int()).tag(sync=True)
    clicks = traitlets.List().tag(sync=True)  # [[x, y, label], ...]
    corners = traitlets.List().tag(sync=True)  # [] or [x1, y1, x2, y2]
    status = traitlets.Unicode().tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)  # counts predictions, so that the browser notices an equal one
    alt = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        image: Any,
        segment: Segment,
        points: Any | None = None,
        labels: Any | None = None,
        box: Any | None = None,
        alt: str = "an image to segment",
    ) -> None:
        self.image = plotting.as_rgb(image)
        self.mask: np.ndarray | None = None
        self.score: float | None = None
        self._segment = segment
        height, width = self.image.shape[:2]
        super().__init__(
            picture=plotting.jpeg_bytes(self.image, SENT_QUALITY, longest=LONGEST_SHOWN),
            size=[width, height],
            clicks=_checked_clicks(points, labels),
            corners=[] if box is None else [float(value) for value in np.asarray(box).reshape(4)],
            alt=alt,
        )
        self._segmented: tuple[list, list] | None = None
        self._update()
        self.observe(self._update_or_show_error, names=["clicks", "corners"])

    @property
    def points(self) -> np.ndarray:
        """The current clicks: (N, 2) float32 as (x, y) in image pixels."""
        return np.array([click[:2] for click in self.clicks], dtype=np.float32).reshape(-1, 2)

    @property
    def labels(self) -> np.ndarray:
        """One label per click: (N,) int32, 1 include, 0 exclude."""
        return np.array([click[2] for click in self.clicks], dtype=np.int32)

    @property
    def box(self) -> np.ndarray | None:
        """The box prompt (x1, y1, x2, y2) in image pixels, or None."""
        return np.array(self.corners, dtype=np.float32) if self.corners else None

    def static_picture(self) -> bytes:
        """The image with its prompts and mask as a JPEG file, shown where widgets cannot run."""
        has_clicks = len(self.clicks) > 0
        ax = plotting.show_masks(
            self.image,
            () if self.mask is None else self.mask,
            scores=None if self.mask is None or self.score is None else [self.score],
            points=self.points if has_clicks else None,
            labels=self.labels if has_clicks else None,
            boxes=self.box,
            colors=None if self.mask is None else [OBJECT],
        )
        return _encode_and_close(ax.figure)

    def _update(self) -> None:
        """Segment with the current prompts and send the mask to the browser."""
        self._segmented = (list(self.clicks), list(self.corners))
        self.mask, self.score, overlay, status = None, None, b"", "Click on an object."
        if self.clicks or self.corners:
            result = self._segment(self.points, self.labels, self.box)
            mask, score = result if isinstance(result, tuple) else (result, None)
            self.mask = plotting.as_masks(mask, self.image.shape[:2])[0]
            self.score = None if score is None else float(score)
            overlay, status = overlay_png(self.mask), self._status_line()
        self._publish(overlay, status)

    def _update_or_show_error(self, _change: Any) -> None:
        if self._segmented == (list(self.clicks), list(self.corners)):
            return  # a change of both traits is reported twice
        try:
            self._update()
        except Exception as problem:  # an exception in a callback would be lost
            logger.debug("segment failed", exc_info=True)
            self.mask, self.score = None, None
            self._publish(b"", f"{type(problem).__name__}: {problem}")

    def _publish(self, overlay: bytes, status: str) -> None:
        with self.hold_sync():
            self.overlay, self.status, self.revision = overlay, status, self.revision + 1

    def _status_line(self) -> str:
        prompts = [f"{len(self.clicks)} click{'s' * (len(self.clicks) != 1)}"] if self.clicks else []
        prompts += ["1 box"] if self.corners else []
        score = "" if self.score is None else f", score {self.score:.2f}"
        return f"{' and '.join(prompts)}: {self.mask.mean():.1%} of the picture{score}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        return with_static_picture(bundle, self.static_picture(), f"PromptWidget: {self.status}")


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
        return with_static_picture(bundle, _encode_and_close(ax.figure), f"BoxPrompt: box {corners}")


def with_static_picture(bundle: Any, jpeg: bytes, text: str) -> Any:
    """Add a static picture and a line of text to the MIME bundle of a widget, for viewers that cannot run it."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    data = dict(data or {})
    data["image/jpeg"] = base64.b64encode(jpeg).decode()
    data["text/plain"] = text
    data.pop("text/html", None)
    return data, metadata or {}


def overlay_png(mask: np.ndarray) -> bytes:
    """The mask as a transparent PNG in the object's colour, shrunk like the image that is sent to the browser."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask] = (*plotting.color_of(OBJECT), OVERLAY_ALPHA)
    overlay = Image.fromarray(rgba)
    overlay.thumbnail((LONGEST_SHOWN, LONGEST_SHOWN), Image.Resampling.NEAREST)
    target = io.BytesIO()
    overlay.save(target, "png")
    return target.getvalue()


def _checked_clicks(points: Any | None, labels: Any | None) -> list[list]:
    """[[x, y, label], ...], or a ValueError that says what is wrong with the labels."""
    coords = np.zeros((0, 2)) if points is None else np.asarray(points, dtype=float).reshape(-1, 2)
    kinds = np.ones(len(coords), int) if labels is None else np.asarray(labels, dtype=int).reshape(-1)
    if len(kinds) != len(coords):
        raise ValueError(f"labels has {len(kinds)} entries for {len(coords)} points; give one label per point")
    if not np.isin(kinds, (0, 1)).all():
        raise ValueError(f"labels must be 1 (include) or 0 (exclude), got {sorted(set(kinds.tolist()))}")
    return [[float(x), float(y), int(kind)] for (x, y), kind in zip(coords, kinds, strict=True)]


def _encode_and_close(figure: Any) -> bytes:
    encoded = plotting.figure_bytes(figure, "jpeg")
    plt.close(figure)
    return encoded
