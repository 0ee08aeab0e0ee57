"""A timeline of tracked objects: where each was present, unsure, absent, prompted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sam2nb.plotting.draw import PALETTE, color_of

WIDTH, STRIP_HEIGHT, MARGIN_HEIGHT = 9.0, 0.34, 1.0  # inches
FILL = 0.7  # of a strip's height
UNSURE_ALPHA = 0.3
UNSURE_BELOW = 0.5  # predicted IoU
LEGEND_GREY = "0.35"  # where the strips have several colours
PRESENT, UNSURE, ABSENT = "present", "unsure", "absent"


def timeline(
    results: Iterable[Any],
    prompted: Mapping[Hashable, Iterable[int]] | None = None,
    *,
    names: Mapping[Hashable, str] | None = None,
    unsure_below: float = UNSURE_BELOW,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw a strip for each object over the frames of a video. Returns the axes.

    results: of `propagate_in_video`, or records with the same attributes `frame_idx`, `obj_ids`, `quality` and
        `presence`. An object is present where its presence is above 0; there it is unsure where its quality is below
        `unsure_below`. Of two results for a frame the later one counts.
    prompted: the frames on which each object was prompted, marked by a diamond. names: of objects, by id.

    Raises ValueError without a result.
    """
    states = states_by_object(results, unsure_below)
    ax = ax or plt.subplots(figsize=(WIDTH, MARGIN_HEIGHT + STRIP_HEIGHT * max(len(states), 1)))[1]
    for row, (obj_id, frames) in enumerate(states.items()):
        color = tuple(value / 255 for value in color_of(row % len(PALETTE)))
        for state, alpha in ((PRESENT, 1.0), (UNSURE, UNSURE_ALPHA)):
            spans = _spans(sorted(frame for frame, found in frames.items() if found == state))
            ax.broken_barh(spans, (row - FILL / 2, FILL), facecolor=color, alpha=alpha, linewidth=0)
        marks = sorted((prompted or {}).get(obj_id, ()))
        ax.plot(marks, [row] * len(marks), "D", color="white", markeredgecolor="black", markersize=5, zorder=3)
    known = [frame for frames in states.values() for frame in frames]
    ax.set_xlim(min(known, default=0) - 0.5, max(known, default=0) + 0.5)
    ax.set_ylim(len(states) - 0.5, -0.5)
    ax.set_yticks(range(len(states)), [str((names or {}).get(obj_id, obj_id)) for obj_id in states])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("frame")
    ax.set_ylabel("object")
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    _add_legend(ax, bool(prompted), color if len(states) == 1 else LEGEND_GREY)
    if title:
        ax.set_title(title, loc="left")
    return ax


def states_by_object(results: Iterable[Any], unsure_below: float = UNSURE_BELOW) -> dict[Hashable, dict[int, str]]:
    """The state of each object by frame: "present", "unsure" or "absent"; a frame without a prediction is left out.

    Raises ValueError without a result.
    """
    states: dict[Hashable, dict[int, str]] = {}
    is_empty = True
    for result in results:
        is_empty = False
        for obj_id, quality, presence in zip(result.obj_ids, result.quality, result.presence, strict=True):
            frames = states.setdefault(obj_id, {})
            if not np.isnan(float(presence)):
                frames[int(result.frame_idx)] = _state(float(quality), float(presence), unsure_below)
    if is_empty:
        raise ValueError("results is empty: pass those of propagate_in_video, for example as a list")
    return states


def _state(quality: float, presence: float, unsure_below: float) -> str:
    if presence <= 0:
        return ABSENT
    return UNSURE if quality < unsure_below else PRESENT


def _spans(frames: Sequence[int]) -> list[tuple[float, int]]:
    """Runs of consecutive frames as (start, width), each frame half a step to both sides."""
    if not len(frames):
        return []
    runs = np.split(np.asarray(frames), np.flatnonzero(np.diff(frames) > 1) + 1)
    return [(run[0] - 0.5, len(run)) for run in runs]


def _add_legend(ax: Axes, with_prompts: bool, color: str | tuple[float, ...]) -> None:
    handles = [Patch(facecolor=color, label=PRESENT), Patch(facecolor=color, alpha=UNSURE_ALPHA, label=UNSURE)]
    if with_prompts:
        diamond = {"marker": "D", "color": "white", "markeredgecolor": "black", "markersize": 5, "linewidth": 0}
        handles.append(Line2D([], [], label="prompted", **diamond))
    ax.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(handles), frameon=False, fontsize=8)
