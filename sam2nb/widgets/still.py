"""A still picture and a line of text beside every widget, for viewers that cannot run it; problems in a line."""

from __future__ import annotations

import base64
from typing import Any

import matplotlib.pyplot as plt

from sam2nb import plotting


def with_static_picture(bundle: Any, jpeg: bytes, text: str) -> Any:
    """Add a static picture and a line of text to the MIME bundle of a widget."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    data = dict(data or {})
    data["image/jpeg"] = base64.b64encode(jpeg).decode()
    data["text/plain"] = text
    data.pop("text/html", None)
    return data, metadata or {}


def encode_and_close(figure: Any) -> bytes:
    """A figure as a JPEG file; the figure is closed."""
    encoded = plotting.figure_bytes(figure, "jpeg")
    plt.close(figure)
    return encoded


def first_line(problem: Exception) -> str:
    """An exception as one line for a widget."""
    return f"{type(problem).__name__}: {problem}".split("\n")[0]
