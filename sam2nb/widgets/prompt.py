"""Live prompting in the notebook: click, drag a box, see the mask.

    widget = PromptWidget(image, segment=mask_finder(predictor, image), points=[(330, 100)], labels=[1])
    widget                       # last line of a cell: shows it
    widget.mask, widget.score    # what the model answered to the prompts so far

Every widget takes its first prompts as arguments. They are answered at once, so that a notebook runs from top to bottom
without a person, and the picture with its answer is stored beside the live view for places that cannot run widgets.
The browser side is static/prompt_widget.js, plain JavaScript on a canvas through anywidget.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Sequence
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
LONGEST_SHOWN = 900  # pixels of the picture that travels to the browser
MASK_OPACITY = 140  # of 255


class Answer(NamedTuple):
    """What `segment` returns: mask (H, W) bool and the model's own estimate of its IoU, or None."""

    mask: np.ndarray
    score: float | None = None


# points (N, 2) as (x, y) in image pixels, labels (N,) 1 or 0, box (4,) x1, y1, x2, y2 or None
Segment = Callable[[np.ndarray, np.ndarray, np.ndarray | None], Any]


def mask_finder(predictor: Any, image: Any = None) -> Segment:
    """A `segment` function that asks a SAM2ImagePredictor.

    One click alone is ambiguous, so the best of three masks is taken; with more prompts the single answer is.
    image: set in the predictor first; None keeps the picture that is set already.
    """
    if image is not None:
        predictor.set_image(image)

    def segment(points: np.ndarray, labels: np.ndarray, box: np.ndarray | None) -> Answer:
        ambiguous = box is None and len(points) == 1
        clicks = {"point_coords": points, "point_labels": labels} if len(points) else {}
        masks, scores, _ = predictor.predict(**clicks, box=box, multimask_output=ambiguous)
        best = int(np.argmax(scores))
        return Answer(masks[best], float(scores[best]))

    return segment


class PromptWidget(anywidget.AnyWidget):
    """A picture to click on. Left click includes, shift or right click excludes, dragging draws a box.

    image: anything a picture can be. segment: called with (points, labels, box) after every change; returns a mask, a
    (mask, score) pair or an Answer. points, labels, box: the prompts to start with, in image pixels.
    Keyboard: arrows move the cursor (shift: faster), Enter includes, x excludes, b sets the corners of a box, u takes
    the last prompt back, c clears.

    Afterwards `points` (N, 2), `labels` (N,), `box` (4,) or None, `mask` (H, W) bool or None and `score` tell the
    state. What `segment` raises is shown under the picture; for the prompts given here it is raised.
    """

    _esm = STATIC / "prompt_widget.js"
    _css = STATIC / "prompt_widget.css"

    # what travels: the picture, the overlay (a transparent PNG), and the prompts in pixels of the whole image
    picture = traitlets.Bytes().tag(sync=True)
    overlay = traitlets.Bytes().tag(sync=True)
    size = traitlets.List(traitlets.Int()).tag(sync=True)
    clicks = traitlets.List().tag(sync=True)  # [[x, y, label], ...]
    corners = traitlets.List().tag(sync=True)  # [] or [x1, y1, x2, y2]
    status = traitlets.Unicode().tag(sync=True)
    turn = traitlets.Int(0).tag(sync=True)  # counts answers, so that the browser also notices equal ones
    alt = traitlets.Unicode("a picture to segment").tag(sync=True)

    def __init__(
        self,
        image: Any,
        segment: Segment,
        points: Any | None = None,
        labels: Any | None = None,
        box: Any | None = None,
        color: int = 0,
        alt: str = "a picture to segment",
    ) -> None:
        self.image = plotting.as_picture(image)
        self.mask: np.ndarray | None = None
        self.score: float | None = None
        self._segment = segment
        self._color = color
        height, width = self.image.shape[:2]
        coords = np.zeros((0, 2)) if points is None else np.asarray(points, dtype=float).reshape(-1, 2)
        kinds = np.ones(len(coords), int) if labels is None else np.asarray(labels, dtype=int).reshape(-1)
        if len(kinds) != len(coords):
            raise ValueError(f"labels has {len(kinds)} entries for {len(coords)} points; give one label per point")
        if not np.isin(kinds, (0, 1)).all():
            raise ValueError(f"labels must be 1 (include) or 0 (exclude), got {sorted(set(kinds.tolist()))}")
        super().__init__(
            picture=plotting.image_bytes(self.image, "jpeg", quality=88, longest=LONGEST_SHOWN),
            size=[width, height],
            clicks=[[float(x), float(y), int(kind)] for (x, y), kind in zip(coords, kinds, strict=True)],
            corners=[] if box is None else [float(value) for value in np.asarray(box).reshape(4)],
            alt=alt,
        )
        self._answered: tuple[list, list] | None = None
        self._answer()
        self.observe(self._answer_or_say_why, names=["clicks", "corners"])

    @property
    def points(self) -> np.ndarray:
        """The clicks so far: (N, 2) float32 as (x, y) in image pixels."""
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
        """The picture with its prompts and mask as a JPEG file: what is shown where widgets cannot run."""
        masks = np.zeros((0, *self.image.shape[:2]), bool) if self.mask is None else self.mask
        ax = plotting.show_masks(
            self.image,
            masks,
            scores=None if self.mask is None or self.score is None else [self.score],
            points=self.points if len(self.clicks) else None,
            labels=self.labels if len(self.clicks) else None,
            boxes=self.box,
            colors=None if self.mask is None else [self._color],
        )
        encoded = plotting.figure_bytes(ax.figure, "jpeg")
        plt.close(ax.figure)
        return encoded

    def _answer(self) -> None:
        """Ask `segment` about the prompts of this moment and send the mask to the browser."""
        self._answered = (list(self.clicks), list(self.corners))
        self.mask, self.score, overlay, status = None, None, b"", "Click on an object."
        if self.clicks or self.corners:
            answer = self._segment(self.points, self.labels, self.box)
            mask, score = answer if isinstance(answer, tuple) else (answer, None)
            self.mask = plotting.as_masks(mask, self.image.shape[:2])[0]
            self.score = None if score is None else float(score)
            overlay, status = _overlay_png(self.mask, self._color), self._sentence()
        self._publish(overlay, status)

    def _answer_or_say_why(self, _change: Any) -> None:
        if self._answered == (list(self.clicks), list(self.corners)):
            return  # one change of both traits is reported twice
        try:
            self._answer()
        except Exception as problem:  # an exception in a callback would be lost
            logger.debug("segment failed", exc_info=True)
            self.mask, self.score = None, None
            self._publish(b"", f"{type(problem).__name__}: {problem}")

    def _publish(self, overlay: bytes, status: str) -> None:
        with self.hold_sync():
            self.overlay, self.status, self.turn = overlay, status, self.turn + 1

    def _sentence(self) -> str:
        prompts = [f"{len(self.clicks)} click{'s' * (len(self.clicks) != 1)}"] if self.clicks else []
        prompts += ["1 box"] if self.corners else []
        score = "" if self.score is None else f", score {self.score:.2f}"
        return f"{' and '.join(prompts)}: {self.mask.mean():.1%} of the picture{score}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return with_static_picture(
            super()._repr_mimebundle_(**kwargs), self.static_picture(), "PromptWidget", self.status
        )


class BoxPrompt:
    """Draw one box with jupyter_bbox_widget; `box` reads it. Starts with `box`, so that it works without a person.

    image: anything a picture can be. box: (x1, y1, x2, y2) in image pixels to start with.
    """

    def __init__(self, image: Any, box: Any, name: str = "object") -> None:
        from jupyter_bbox_widget import BBoxWidget

        self.image = plotting.as_picture(image)
        self._start = np.asarray(box, dtype=np.float32).reshape(4)
        x1, y1, x2, y2 = (float(value) for value in self._start)
        source = "data:image/jpeg;base64," + base64.b64encode(plotting.image_bytes(self.image, quality=88)).decode()
        self.widget = BBoxWidget(
            image=source,
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
        """The box drawn last, or the one to start with if all were deleted: (4,) float32."""
        return self.boxes[-1] if len(self.boxes) else self._start

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        ax = plotting.show_image(self.image)
        plotting.show_boxes(self.boxes, ax)
        encoded = plotting.figure_bytes(ax.figure, "jpeg")
        plt.close(ax.figure)
        corners = ", ".join(f"{value:.0f}" for value in self.box)
        return with_static_picture(self.widget._repr_mimebundle_(**kwargs), encoded, "BoxPrompt", f"box {corners}")


def _overlay_png(mask: np.ndarray, color: int) -> bytes:
    """The mask as a transparent picture in the object's colour, shrunk like the picture itself."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask] = (*plotting.color_of(color), MASK_OPACITY)
    overlay = Image.fromarray(rgba)
    overlay.thumbnail((LONGEST_SHOWN, LONGEST_SHOWN), Image.Resampling.NEAREST)
    target = io.BytesIO()
    overlay.save(target, "png")
    return target.getvalue()


def with_static_picture(bundle: Any, jpeg: bytes, kind: str, status: str) -> Any:
    """Add the still picture and a line of text to what a widget shows of itself."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    data = dict(data or {})
    data["image/jpeg"] = base64.b64encode(jpeg).decode()
    data["text/plain"] = f"{kind}: {status}"
    data.pop("text/html", None)
    return data, metadata or {}


def describe_prompts(points: Sequence[Any], labels: Sequence[int]) -> str:
    """A line such as `include (330, 100), exclude (500, 200)`."""
    words = {1: "include", 0: "exclude"}
    pairs = zip(np.asarray(points).reshape(-1, 2), labels, strict=True)
    return ", ".join(f"{words[int(label)]} ({x:.0f}, {y:.0f})" for (x, y), label in pairs)
