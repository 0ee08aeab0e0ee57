"""A table of pictures: choices as rows, images as columns, a mask in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from sam2nb.plotting.draw import as_rgb
from sam2nb.plotting.figures import MARKER_SIZE, TITLE_SIZE, show_masks, show_points

CELL_WIDTH = 2.3  # inches
LABEL_WIDTH = 1.1  # inches, for the names of the rows
HEAD_HEIGHT = 0.35  # inches
CLICK_SHARE = 0.4  # of the area of a marker: the panels are small


def mask_grid(
    images: Sequence[Any],
    masks: Sequence[Sequence[Any]],
    rows: Sequence[str],
    columns: Sequence[str],
    points: Sequence[Any] | None = None,
    boxes: Sequence[Any] | None = None,
    notes: Sequence[Sequence[str]] | None = None,
    colors: Sequence[int] | None = None,
) -> Figure:
    """Show one row of pictures for every choice, its name at the left; the names of the images stand on top.

    images: one for each column. masks: masks[row][column], as in draw_masks. points, boxes: prompts, for each column.
    notes: a text for every cell, written into its corner. colors: an object index for each column.
    Returns the figure. Raises ValueError if a list does not fit.
    """
    if len(masks) != len(rows) or any(len(row) != len(images) for row in masks) or len(columns) != len(images):
        raise ValueError(f"masks must have {len(rows)} rows of {len(images)}, and columns {len(images)} names")
    panels = [as_rgb(image) for image in images]
    shapes = [panel.shape[1] / panel.shape[0] for panel in panels]
    height = CELL_WIDTH * len(panels) / sum(shapes)
    figure, axes = plt.subplots(
        len(rows), len(panels), squeeze=False, layout="constrained", width_ratios=shapes,
        figsize=(LABEL_WIDTH + CELL_WIDTH * len(panels), HEAD_HEIGHT + height * len(rows)),
    )  # fmt: skip
    for r, name in enumerate(rows):
        for c, panel in enumerate(panels):
            ax = axes[r, c]
            kept = {} if boxes is None or boxes[c] is None else {"boxes": boxes[c]}
            title = columns[c] if r == 0 else None
            show_masks(panel, masks[r][c], ax=ax, title=title, colors=None if colors is None else [colors[c]], **kept)
            if points is not None:
                show_points([points[c]], ax=ax, marker_size=MARKER_SIZE * CLICK_SHARE)
            if notes is not None:
                _write(ax, notes[r][c])
        axes[r, 0].text(-0.04, 0.5, name, transform=axes[r, 0].transAxes, ha="right", va="center", fontsize=TITLE_SIZE)
    return figure


def _write(ax: plt.Axes, text: str) -> None:
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    ax.text(0.97, 0.04, text, transform=ax.transAxes, ha="right", va="bottom", fontsize=8, bbox=box, zorder=7)
