"""Figures of images, masks, prompts, maps of numbers and bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sam2nb.plotting.draw import (
    BOX_COLOR,
    EXCLUDE_COLOR,
    INCLUDE_COLOR,
    MASK_OPACITY,
    PALETTE,
    as_masks,
    as_rgb,
    color_of,
    default_colors,
    draw_masks,
    to_array,
)

SINGLE_WIDTH = 5.6  # inches for an image on its own
PANEL_WIDTH, ROW_WIDTH = 3.4, 10.2  # inches for one image of a row, and at most for the row
TITLE_SIZE = 10  # points
MARKER_SIZE, SIGN_SHARE = 110, 0.38  # area of a click's disc in square points, and the share of the sign in it
ZOOM_SHARE = 0.42  # of the width of an image, for a part shown enlarged
PIXELATED_BELOW = 128  # pixels: smaller images are shown with visible pixels


def show_image(image: Any, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Show an image without axis lines. Returns the axes, so that you can draw on top."""
    rgb = as_rgb(image)
    ax = _axes_for(rgb.shape[:2], ax)
    ax.imshow(rgb, interpolation="nearest" if max(rgb.shape[:2]) < PIXELATED_BELOW else "antialiased")
    return _without_axis(ax, title)


def show_masks(
    image: Any,
    masks: Any,
    scores: Any | None = None,
    points: Any | None = None,
    labels: Any | None = None,
    boxes: Any | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    colors: Sequence[int] | None = None,
    opacity: float = MASK_OPACITY,
    dim: bool = False,
) -> Axes:
    """Show masks on an image, with the prompts that led to them. Returns the axes.

    masks: as in draw_masks. scores: one number or text per mask, written beside it. points: (N, 2) as (x, y) in pixels
    with labels (N,): 1 include (blue, with a plus), 0 exclude (orange, with a cross). boxes: (4,) or (N, 4) as x1, y1,
    x2, y2; as many boxes as masks, if several, get the colours of the masks. colors: one object index per mask, by
    default 0, 1, 2 and so on. dim: darken the background instead of painting the objects. Raises ValueError if one
    does not fit.
    """
    rgb = as_rgb(image)
    stack = as_masks(masks, rgb.shape[:2])
    colors = default_colors(len(stack), dim) if colors is None else colors
    ax = show_image(draw_masks(rgb, stack, colors=colors, opacity=opacity, dim=dim), title=title, ax=ax)
    if boxes is not None:
        is_paired = len(stack) > 1 and np.asarray(boxes).size == 4 * len(stack)
        show_boxes(boxes, ax, colors if is_paired else None)
    if points is not None:
        show_points(points, labels, ax)
    if scores is not None:
        _label_masks(stack, np.atleast_1d(np.asarray(scores, dtype=object)), ax, colors)
    return ax


def show_points(
    points: Any, labels: Any | None = None, ax: Axes | None = None, marker_size: float = MARKER_SIZE
) -> Axes:
    """Draw clicks: a blue disc with a plus where the label is 1, an orange disc with a cross where it is 0.

    points: (N, 2) as (x, y). labels: (N,), by default all 1. marker_size: area of a disc in square points.
    Raises ValueError if their numbers differ.
    """
    ax = plt.gca() if ax is None else ax
    coords = np.asarray(points, dtype=float).reshape(-1, 2)
    kinds = np.ones(len(coords), int) if labels is None else np.asarray(labels, dtype=int).reshape(-1)
    if len(kinds) != len(coords):
        raise ValueError(f"labels has {len(kinds)} entries for {len(coords)} points; give one label per point")
    for kind, color, sign in ((1, INCLUDE_COLOR, "+"), (0, EXCLUDE_COLOR, "x")):
        if not (kinds == kind).any():
            continue
        x, y = coords[kinds == kind].T
        ax.scatter(x, y, s=marker_size, c=color, edgecolors="white", linewidths=1.4, zorder=5)
        ax.scatter(x, y, s=marker_size * SIGN_SHARE, c="white", marker=sign, linewidths=1.6, zorder=6)
    return ax


def show_boxes(boxes: Any, ax: Axes | None = None, colors: Sequence[int] | None = None) -> Axes:
    """Draw box prompts with a rim that shows on any image.

    boxes: (4,) or (N, 4) as x1, y1, x2, y2. colors: one object index per box, by default all are yellow.
    """
    ax = plt.gca() if ax is None else ax
    for row, (x1, y1, x2, y2) in enumerate(np.asarray(boxes, dtype=float).reshape(-1, 4)):
        x, y = [x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1]
        rim, color = ("black", BOX_COLOR) if colors is None else ("white", PALETTE[colors[row] % len(PALETTE)])
        ax.plot(x, y, color=rim, linewidth=3.6, alpha=0.6, zorder=3)
        ax.plot(x, y, color=color, linewidth=2.0, zorder=4)
    return ax


def zoom_in(ax: Axes, box: Any, corner: str = "lower right", share: float = ZOOM_SHARE) -> Axes:
    """Show a part of an image enlarged in a corner of its axes, joined to it by lines. Returns the axes of the part.

    box: x1, y1, x2, y2 in pixels. corner: "lower right", "upper left" and so on. share: of the width of the image.
    """
    x1, y1, x2, y2 = (float(value) for value in np.asarray(box).reshape(4))
    shown = ax.images[0].get_array()
    image_height, image_width = shown.shape[:2]
    height = share * image_width / image_height * (y2 - y1) / (x2 - x1)
    left, bottom = (1 - share if "right" in corner else 0.0), (1 - height if "upper" in corner else 0.0)
    part = ax.inset_axes((left, bottom, share, height), xticks=[], yticks=[])
    part.imshow(shown)
    part.set(xlim=(x1 - 0.5, x2 - 0.5), ylim=(y2 - 0.5, y1 - 0.5))
    part.spines[:].set(color="white", linewidth=1.6)
    ax.indicate_inset_zoom(part, edgecolor="white", alpha=1)
    return part


def show_map(
    values: Any,
    image: Any | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    cmap: str | None = None,
    bar: bool = True,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Show a map of numbers: logits, attention weights, differences. Returns the axes.

    values: (h, w). image: shown under the map, of any size. bar: add a colour bar. limits: the values at the ends of
    the colours, so that several maps can share a scale; by default maps with negative and positive values get a
    two-sided scale centred on zero, others a one-sided one.
    """
    grid = to_array(values).astype(float)
    grid = grid.squeeze() if grid.ndim > 2 else grid
    if grid.ndim != 2:
        raise ValueError(f"values must have two dimensions after squeezing, got shape {to_array(values).shape}")
    two_sided = grid.min() < 0 < grid.max()
    largest = np.abs(grid).max()
    low, high = limits or ((-largest, largest) if two_sided else (grid.min(), grid.max()))
    height, width = grid.shape if image is None else as_rgb(image).shape[:2]
    ax = _axes_for((height, width), ax)
    look = {"extent": (-0.5, width - 0.5, height - 0.5, -0.5), "interpolation": "nearest"}
    if image is not None:
        ax.imshow(as_rgb(image), extent=look["extent"])
        look |= {"interpolation": "bilinear", "alpha": 0.6}
    shown = ax.imshow(grid, cmap=cmap or ("RdBu" if two_sided else "cividis"), vmin=low, vmax=high, **look)
    if bar:
        ax.figure.colorbar(shown, ax=ax, fraction=0.046, pad=0.03)
    return _without_axis(ax, title)


def side_by_side(
    images: Any,
    titles: Sequence[str] | None = None,
    masks: Sequence[Any] | None = None,
    scores: Sequence[Any] | None = None,
    points: Sequence[Any] | None = None,
    labels: Sequence[Any] | None = None,
    boxes: Sequence[Any] | None = None,
    colors: Sequence[Any] | None = None,
    columns: int | None = None,
    panel_width: float | None = None,
    opacity: float = MASK_OPACITY,
    dim: bool = False,
    zoom: Any | None = None,
) -> Figure:
    """Show several images in a row, or in rows of `columns`. Returns the figure.

    images: a list of images, or one image to repeat in every panel. Every other list has one entry per panel, None
    where a panel has none: `masks[i]`, `points[i]`, opacity and so on mean what they mean in show_masks. panel_width:
    inches. zoom: a box that is shown enlarged in every panel, see `zoom_in`.
    Raises ValueError if a list does not have one entry per panel.
    """
    lists = {"titles": titles, "masks": masks, "scores": scores, "points": points, "labels": labels}
    lists |= {"boxes": boxes, "colors": colors}
    given = {name: entries for name, entries in lists.items() if entries is not None}
    panels = _panels(images, given)
    figure, axes = _panel_grid([panel.shape[:2] for panel in panels], columns, panel_width, has_titles=bool(titles))
    for index, (panel, ax) in enumerate(zip(panels, axes, strict=True)):
        options = {name: entries[index] for name, entries in given.items()}
        title, panel_masks = options.pop("titles", None), options.pop("masks", None)
        panel_masks = () if panel_masks is None else panel_masks
        show_masks(panel, panel_masks, ax=ax, title=title, opacity=opacity, dim=dim, **options)
        if zoom is not None:
            zoom_in(ax, zoom)
    return figure


def bar_chart(names: Sequence[str], values: Sequence[float], title: str, unit: str = "", form: str = "g") -> Axes:
    """Draw horizontal bars with their values at the ends, the first name on top. Returns the axes.

    form: the format of a value, such as ".2f" for an IoU.
    """
    _, ax = plt.subplots(figsize=(6.4, 0.5 + 0.38 * len(names)), layout="constrained")
    bars = ax.barh(list(names), list(values), color=PALETTE[0])
    ax.bar_label(bars, [f"{value:{form}}{unit}" for value in values], padding=4, fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.set_xticks([])
    ax.set_title(title, fontsize=TITLE_SIZE, loc="left")
    return ax


def _axes_for(size_hw: tuple[int, int], ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    height, width = size_hw
    scale = SINGLE_WIDTH / max(width, height * 1.15)
    _, ax = plt.subplots(figsize=(width * scale, height * scale + 0.3), layout="constrained")
    return ax


def _without_axis(ax: Axes, title: str | None) -> Axes:
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=TITLE_SIZE)
    return ax


def _is_one_image(images: Any) -> bool:
    return isinstance(images, Image.Image) or (hasattr(images, "ndim") and images.ndim in (2, 3))


def _panels(images: Any, given: dict[str, Sequence[Any]]) -> list[np.ndarray]:
    if _is_one_image(images):
        images = [images] * (len(next(iter(given.values()))) if given else 1)
    panels = [as_rgb(image) for image in images]
    for name, entries in given.items():
        if len(entries) != len(panels):
            raise ValueError(f"{name} has {len(entries)} entries for {len(panels)} panels; give one each, or None")
    return panels


def _panel_grid(
    sizes_hw: list[tuple[int, int]], columns: int | None, panel_width: float | None, has_titles: bool
) -> tuple[Figure, list[Axes]]:
    """A figure with one axes per size, the last row filled up with empty ones."""
    count = len(sizes_hw)
    columns = min(count, columns or min(count, 4))
    rows = -(-count // columns)
    if panel_width is None:
        panel_width = min(PANEL_WIDTH, ROW_WIDTH / columns)
    tallest = max(height / width for height, width in sizes_hw)
    figsize = (panel_width * columns, rows * (panel_width * tallest + (0.35 if has_titles else 0.05)))
    figure, grid = plt.subplots(rows, columns, figsize=figsize, squeeze=False, layout="constrained")
    for ax in grid.flat[count:]:
        ax.set_axis_off()
    return figure, list(grid.flat[:count])


def _label_masks(stack: np.ndarray, scores: np.ndarray, ax: Axes, colors: Sequence[int]) -> None:
    if len(scores) != len(stack):
        raise ValueError(f"scores has {len(scores)} entries for {len(stack)} masks; give one per mask")
    height, width = stack.shape[1:]
    for number, (mask, score) in enumerate(zip(stack, scores, strict=True)):
        rows, cols = np.nonzero(mask)
        if len(rows) == 0:
            continue
        text = score if isinstance(score, str) else f"{float(score):.2f}"
        # a label that left the axes would be cut off
        x = float(np.clip(np.median(cols), 0.08 * width, 0.92 * width))
        y = float(np.clip(rows.min(), 0.06 * height, 0.94 * height))
        rim = np.array(color_of(colors[number])) / 255
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": rim, "linewidth": 1.8, "alpha": 0.92}
        ax.text(x, y, text, fontsize=9, color="black", ha="center", va="center", bbox=box, zorder=7)
