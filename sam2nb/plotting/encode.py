"""Figures and images as small files: JPEG for photographs, PNG for charts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sam2nb.plotting.draw import EXCLUDE_COLOR, as_rgb

FIGURE_DPI = 80  # 10 inches wide = 800 pixels: sharp enough to read, small enough to commit
JPEG_QUALITY = 82
CHART_COLORS = 256  # of a PNG: a chart has few, and the file is a third as large
KIND_OF_SUFFIX = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}

_caption: str | None = None  # of the whole process, see set_caption


def set_caption(text: str | None) -> None:
    """Write a line under every figure encoded from now on, for example that the weights are random; None removes it.

    This holds for the whole process. It is not an argument because no figure may escape it: neither those that a
    notebook shows nor those that a widget encodes for itself.
    """
    global _caption
    _caption = text


def get_caption() -> str:
    """The line of `set_caption`, or an empty text."""
    return _caption or ""


def alt_text(text: str, figure: Figure | Axes | None = None) -> None:
    """Describe a figure to those who cannot see it: the alternative text of the image that a notebook stores.

    figure: by default the current one.
    """
    owner = plt.gcf() if figure is None else figure
    (owner.figure if isinstance(owner, Axes) else owner).set_label(text)


def notebook_image(figure: Figure, kind: str) -> tuple[bytes, dict[str, str]] | None:
    """`notebook_bytes` with the metadata of the image: its alternative text, if it has one."""
    encoded = notebook_bytes(figure, kind)
    if encoded is None:
        return None
    return encoded, {"alt": figure.get_label()} if figure.get_label() else {}


def notebook_bytes(figure: Figure, kind: str) -> bytes | None:
    """The figure as a notebook stores it: encoded if `kind` is the format that suits it, else None."""
    return figure_bytes(figure, kind) if kind == _suitable_kind(figure) else None


def figure_bytes(figure: Figure, kind: str | None = None, dpi: int = FIGURE_DPI, quality: int = JPEG_QUALITY) -> bytes:
    """Encode a figure. kind: "jpeg" or "png"; by default JPEG if it shows an image, PNG if it is a chart."""
    kind = kind or _suitable_kind(figure)
    options = {"quality": quality, "optimize": True, "progressive": True} if kind == "jpeg" else {}
    target = io.BytesIO()
    if _caption and not any(text.get_text() == _caption for text in figure.texts):
        figure.text(0.5, 0.0, _caption, ha="center", va="top", color=EXCLUDE_COLOR, fontsize=10, weight="bold")
    figure.savefig(target, format=kind, dpi=dpi, bbox_inches="tight", facecolor="white", pil_kwargs=options)
    return target.getvalue() if kind == "jpeg" else _with_few_colors(target)


def save_figure(figure: Figure | Axes, path: str | Path, dpi: int = FIGURE_DPI, quality: int = JPEG_QUALITY) -> Path:
    """Write a figure, or the figure of an axes, as a small .jpg or .png. Returns the path.

    Raises ValueError if `path` has another suffix.
    """
    path = Path(path)
    kind = KIND_OF_SUFFIX.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"path must end in .jpg, .jpeg or .png, got {path.name!r}")
    owner = figure.figure if isinstance(figure, Axes) else figure
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(figure_bytes(owner, kind, dpi, quality))
    return path


def jpeg_bytes(image: Any, quality: int = JPEG_QUALITY, longest: int | None = None) -> bytes:
    """Encode an image as JPEG. longest: shrink the longer side to at most this many pixels."""
    encoded = Image.fromarray(as_rgb(image))
    if longest is not None:
        encoded.thumbnail((longest, longest))
    target = io.BytesIO()
    encoded.save(target, "jpeg", quality=quality, optimize=True)
    return target.getvalue()


def _suitable_kind(figure: Figure) -> str:
    return "jpeg" if any(ax.images for ax in figure.axes) else "png"


def _with_few_colors(png: io.BytesIO) -> bytes:
    """The same PNG with a palette."""
    reduced = Image.open(png).convert("RGB").quantize(CHART_COLORS, dither=Image.Dither.NONE)
    target = io.BytesIO()
    reduced.save(target, "png", optimize=True)
    return target.getvalue()
