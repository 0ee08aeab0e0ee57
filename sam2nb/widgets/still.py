"""A still picture beside every widget, for viewers that cannot run it; problems in one line."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from sam2nb import plotting
from sam2nb.widgets.objects import ObjectPrompts


def with_static_picture(bundle: Any, jpeg: bytes, text: str, more: dict[str, Any] | None = None) -> Any:
    """Add a static picture and a line of text, also the picture's alternative text, to the MIME bundle of a widget.

    more: further entries by MIME type.
    """
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    data = dict(data or {})
    data["image/jpeg"] = base64.b64encode(jpeg).decode()
    data["text/plain"] = text
    data.update(more or {})
    data.pop("text/html", None)
    return data, {**(metadata or {}), "image/jpeg": {"alt": text}}


def picture_of_objects(
    image: np.ndarray, objects: Sequence[ObjectPrompts], masks: Sequence[np.ndarray], scores: Sequence[float | None]
) -> bytes:
    """An image with its objects, their masks and prompts, as a JPEG file. scores: shown if every object has one."""
    points = [point for prompts in objects for point in prompts.points]
    boxes = [prompts.box for prompts in objects if prompts.box is not None]
    ax = plotting.show_masks(
        image,
        masks,
        scores=None if not objects or None in scores else scores,
        points=[point[:2] for point in points] or None,
        labels=[point[2] for point in points] if points else None,
        boxes=np.array(boxes, np.float32) if boxes else None,
        colors=[prompts.color for prompts in objects] if objects else None,
    )
    return encode_and_close(ax.figure)


def encode_and_close(figure: Any) -> bytes:
    """A figure as a JPEG file; the figure is closed."""
    encoded = plotting.figure_bytes(figure, "jpeg")
    plt.close(figure)
    return encoded


def first_line(problem: Exception) -> str:
    """An exception as one line for a widget."""
    return f"{type(problem).__name__}: {problem}".split("\n")[0]
