"""Prompt the model in the notebook: point at objects and see their masks before and after each click.

    widget = PromptWidget(image, predictor, points=[(330, 100)], labels=[1])
    widget                        # on the last line of a cell: shows it
    widget.masks, widget.code()   # the masks of all objects, and the script that gives them again

Every widget takes its first prompts as arguments and segments with them at once, so that a notebook runs from top to
bottom without a person. A static picture of the result is stored beside the live view, for viewers that cannot run
widgets. The browser side is plain JavaScript in static/, loaded by anywidget: it owns the prompts, while Python
answers them. The browser asks for one preview at a time, the newest, so that a slow model never falls behind.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from sam2nb import plotting
from sam2nb.widgets.answered import AnsweredObjects
from sam2nb.widgets.answers import (  # noqa: F401  (part of them: their home before)
    Candidates,
    Prediction,
    PredictorAnswers,
    Segment,
    answers_of,
    mask_finder,
)
from sam2nb.widgets.base import Answer, ShownWidget
from sam2nb.widgets.box import BoxPrompt  # noqa: F401  (its home before)
from sam2nb.widgets.browser_model import BrowserModel
from sam2nb.widgets.bundle import joined
from sam2nb.widgets.layers import SENT_QUALITY, coco_of_masks, cut_out_png, layer_png, part_jpeg
from sam2nb.widgets.live_page import live_data
from sam2nb.widgets.objects import ObjectPrompts, clicks, default_name, from_state
from sam2nb.widgets.script import script_of
from sam2nb.widgets.still import first_line, picture_of_objects

logger = logging.getLogger(__name__)

VIEW = ("dom", "layout", "store", "view", "layers", "kernel", "decode", "masks", "remote", "pictures", "local")
VIEW += ("paint", "preview", "pointer", "keys", "panel", "detail", "prompt_view")  # of a video, too
MODULES = (*VIEW, "prompt_widget")
COLORS = {"include": plotting.INCLUDE_COLOR, "exclude": plotting.EXCLUDE_COLOR, "box": plotting.BOX_COLOR}
FIRST = 1  # id of the first object
EMPTY = "Point at an object, and click."


class PromptWidget(ShownWidget):
    """An image to point at. The mask under the mouse is shown before any click; a left click includes, a shift or right
    click excludes, dragging draws a box. Several objects, each with a colour and a name; the keys are listed below it.

    image: HxWx3 or HxW array, PIL image or tensor. segment: a SAM2ImagePredictor, which the widget copies, so that it
    may be used for other images; or a function of (points, labels, box) that returns a mask, a (mask, score) pair or a
    Prediction. points, labels, box: the first prompts, in image pixels. objects: several objects in place of these, as
    dicts such as {"name": "cup", "points": [[x, y, 1]], "box": [x1, y1, x2, y2]}. alt: the image in words.

    Afterwards `masks` (N, H, W), `boxes` and `objects` hold all objects that have prompts; `points` (N, 2), `labels`
    (N,), `box` (4,) or None, `mask` (H, W) or None and `score` are those of the selected one. Masks are always the
    ones that the predictor gives for these prompts. An exception of the model is shown below the image, but raised for
    the first prompts. Raises ValueError for prompts that make no sense, TypeError for a segment that cannot be called.
    """

    _esm = joined(*MODULES)

    # synchronised with the browser: the image, the prompts as the browser keeps them, and the answers
    picture = traitlets.Bytes().tag(sync=True)
    colors = traitlets.Dict(COLORS).tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    prompts = traitlets.List().tag(sync=True)
    selected = traitlets.Int(FIRST).tag(sync=True)
    layers = traitlets.Dict().tag(sync=True)  # of each object: see `_layer`
    status = traitlets.Unicode().tag(sync=True)
    script = traitlets.Unicode().tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)  # counts answers, so that the browser notices an equal one

    def __init__(
        self,
        image: Any,
        segment: Any,
        points: Any | None = None,
        labels: Any | None = None,
        box: Any | None = None,
        alt: str = "an image to segment",
        objects: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.image = plotting.as_rgb(image)
        first = {"points": clicks(points, labels), "box": [] if box is None else np.asarray(box).reshape(4).tolist()}
        states = _full_states([first] if objects is None else objects)
        answers = answers_of(segment, self.image)
        self._is_function = not isinstance(answers, PredictorAnswers)
        self._answered = AnsweredObjects(answers, self.image.shape[:2])
        self._browser_model = BrowserModel(None if self._is_function else answers.predictor)
        self._sent: dict[str, Candidates] = {}  # the masks that the layers show
        self._keys = itertools.count()  # one for each answer: what the browser decoded before is not decoded again
        shown_hw = self._answered.shown_hw
        super().__init__(
            self.image.shape[:2],
            shown_hw,
            picture=plotting.jpeg_bytes(self.image, SENT_QUALITY, longest=max(shown_hw)),
            prompts=states,
            selected=states[-1]["id"],
            alt=alt,
            note=plotting.get_caption() or answers.note,
        )
        self._update()
        self.observe(self._update_or_show_error, names=["prompts", "selected"])

    @property
    def objects(self) -> list[ObjectPrompts]:
        """The objects that have a prompt or a stroke, in the order of the list beside the image."""
        return [prompts for prompts in map(from_state, self.prompts) if not prompts.is_empty]

    @objects.setter
    def objects(self, states: Sequence[dict[str, Any]]) -> None:
        """Replace all objects by dicts as the constructor takes them; the last one is selected."""
        prompts = _full_states(states)
        with self.hold_trait_notifications():
            self.prompts, self.selected = prompts, prompts[-1]["id"]

    @property
    def masks(self) -> np.ndarray:
        """The masks of all objects: (N, H, W) bool."""
        found = [self._answered.mask(prompts) for prompts in self.objects]
        return np.stack(found) if found else np.zeros((0, *self.image.shape[:2]), bool)

    @property
    def boxes(self) -> list[np.ndarray | None]:
        """The box prompt of each object, (4,) float32 as x1, y1, x2, y2, or None."""
        return [None if p.box is None else np.array(p.box, np.float32) for p in self.objects]

    @property
    def points(self) -> np.ndarray:
        """The clicks on the selected object: (N, 2) float32 as (x, y) in image pixels."""
        return np.array([point[:2] for point in self._current.points], np.float32).reshape(-1, 2)

    @property
    def labels(self) -> np.ndarray:
        """One label per click on the selected object: (N,) int32, 1 include, 0 exclude."""
        return np.array([point[2] for point in self._current.points], np.int32)

    @property
    def box(self) -> np.ndarray | None:
        """The box prompt (x1, y1, x2, y2) of the selected object in image pixels, or None."""
        return None if self._current.box is None else np.array(self._current.box, np.float32)

    @property
    def mask(self) -> np.ndarray | None:
        """The mask of the selected object, (H, W) bool, or None while it has no prompts or the model failed."""
        current = self._current
        return self._answered.mask(current) if self._answered.is_answered(current) and not current.is_empty else None

    @property
    def score(self) -> float | None:
        """The model's own estimate of the IoU of `mask`."""
        return self._answered.score(self._current)

    def code(self, image: str = "image", predictor: str = "predictor") -> str:
        """The script that leaves these masks in `masks`. image, predictor: how these are called in your program."""
        objects = self.objects
        chosen = [self._answered.choice(prompts) for prompts in objects]
        return script_of(objects, chosen, image, predictor, self._is_function)

    def save_png(self, path: str | Path) -> Path:
        """Write what the visible objects cover, cut out of the image, as a PNG file with transparency."""
        Path(path).write_bytes(self._cut_out())
        return Path(path)

    def save_coco(self, path: str | Path) -> Path:
        """Write the masks of all objects as a COCO file; names given to objects are its categories."""
        Path(path).write_bytes(self._coco())
        return Path(path)

    def summary(self) -> str:
        """One line about the widget, for viewers without pictures."""
        return self.status

    def page_data(self) -> dict[str, Any]:
        """The picture and the prompts, for a page in which they stay live."""
        return live_data(self.picture, self.size, self.prompts, self.alt)

    def static_picture(self) -> bytes:
        """The image with all prompts and masks as a JPEG file, shown where widgets cannot run."""
        objects = [prompts for prompts in self.objects if self._answered.is_answered(prompts)]
        masks = [self._answered.mask(prompts) for prompts in objects]
        return picture_of_objects(self.image, objects, masks, [self._answered.score(prompts) for prompts in objects])

    @property
    def _current(self) -> ObjectPrompts:
        """The selected object; the last one before it if it is still empty, as it is after accepting another."""
        states = [from_state(state) for state in self.prompts]
        selected = next((prompts for prompts in states if prompts.number == self.selected), None)
        if selected is not None and not selected.is_empty:
            return selected
        return self.objects[-1] if self.objects else selected or ObjectPrompts(FIRST, default_name(FIRST), 0)

    def _update(self) -> None:
        """Answer the objects whose prompts changed, and send their masks to the browser."""
        objects = self.objects
        layers, problem = {}, None
        for prompts in objects:
            if not prompts.asks:
                continue
            try:
                found = self._answered.shown(prompts)
                if prompts.is_accepted:
                    self._answered.exact(prompts)
            except Exception as error:
                problem = error
                continue
            key = str(prompts.number)
            is_known = key in self.layers and self._sent.get(key) is found
            layers[key] = self.layers[key] if is_known else {**_layer(found), "key": next(self._keys)}
            self._sent[key] = found
        self._answered.keep_only({prompts.number for prompts in objects})
        status = self._status_line() if problem is None else first_line(problem)
        self._publish(layers, status)
        if problem is not None:
            raise problem

    def _update_or_show_error(self, _change: Any) -> None:
        try:
            self._update()
        except Exception:  # an exception in a callback would be lost
            logger.debug("segment failed", exc_info=True)

    def _publish(self, layers: dict[str, Any], status: str) -> None:
        try:
            script = self.code()
        except Exception:  # the model failed for an object, as the status says
            script = self.script
        with self.hold_sync():
            self.layers, self.status, self.script, self.revision = layers, status, script, self.revision + 1

    def _status_line(self) -> str:
        current = self._current
        if current.is_empty:
            return EMPTY
        clicked, painted = len(current.points), len(current.strokes)
        prompts = [f"{clicked} click{'s' * (clicked != 1)}"] if clicked else []
        prompts += ["1 box"] if current.box is not None else []
        prompts += [f"{painted} stroke{'s' * (painted != 1)}"] if painted else []
        name = f"{current.name}: " if len(self.objects) > 1 else ""
        score = "" if self.score is None else f", score {self.score:.2f}"
        return f"{name}{' and '.join(prompts)}: {self._answered.share(current):.1%} of the picture{score}"

    @property
    def answers(self) -> dict[str, Callable[[dict[str, Any]], Answer]]:
        """The function that answers a request of each kind."""
        own = {"preview": self._preview, "detail": self._detail, "export": self._export}
        return {**own, "decoder": self._browser_model.reply}

    def _preview(self, content: dict[str, Any]) -> Answer:
        click = from_state({"id": FIRST, "points": [[content["x"], content["y"], 1]]})
        found = self._answered.preview(click)
        layer, (height, width) = _layer(found), found.masks.shape[1:]
        files = layer.pop("masks")
        return {**layer, "width": width, "height": height}, files

    def _detail(self, content: dict[str, Any]) -> Answer:
        region, pixels = part_jpeg(self.image, content["region"])
        return {"region": region}, [pixels]

    def _export(self, content: dict[str, Any]) -> Answer:
        if content["format"] == "png":
            return {"name": "cut_out.png", "type": "image/png"}, [self._cut_out()]
        return {"name": "masks_coco.json", "type": "application/json"}, [self._coco()]

    def _cut_out(self) -> bytes:
        visible = [self._answered.mask(prompts) for prompts in self.objects if prompts.is_visible]
        return cut_out_png(self.image, np.any(visible, axis=0) if visible else np.zeros(self.image.shape[:2], bool))

    def _coco(self) -> bytes:
        objects = self.objects
        names = [None if p.name == default_name(p.number) else p.name for p in objects]
        return coco_of_masks(self.masks, [self._answered.score(p) for p in objects], names, self.image.shape[:2])


def _full_states(states: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects as the browser keeps them, numbered; at least an empty one."""
    return [from_state({"id": FIRST + row, **state}).to_state() for row, state in enumerate(states or [{}])]


def _layer(found: Candidates) -> dict[str, Any]:
    """Candidates as the browser gets them."""
    files, boxes = zip(*map(layer_png, found.masks), strict=True)
    return {"masks": list(files), "boxes": list(boxes), "scores": list(found.scores), "best": found.best}
