"""Comparison charts: speed against accuracy, and time against the number of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from sam2nb.plotting import PALETTE

CLOSE = 0.1  # of the cost axis: names of dots nearer than this would overlap, or run over its end
NAME_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}  # over lines
MARKERS = "os^Dv"


def pareto_front(cost: Sequence[float], gain: Sequence[float]) -> list[int]:
    """Indices of the choices that no other one beats in both cost and gain, from the cheapest to the best.

    cost: smaller is better. gain: larger is better.
    """
    front: list[int] = []
    for index in sorted(range(len(cost)), key=lambda i: (cost[i], -gain[i])):
        if not front or gain[index] > gain[front[-1]]:
            front.append(index)
    return front


def cost_gain_chart(
    names: Sequence[str],
    cost: Sequence[float],
    gain: Sequence[float],
    cost_label: str,
    gain_label: str,
    intervals: Sequence[tuple[float, float]] | None = None,
    ax: Axes | None = None,
    log: bool = False,
) -> Axes:
    """Plot one dot for every choice and a line through the Pareto front; hollow dots are beaten by another choice.

    intervals: the lower and upper end of each gain's 95 % interval, drawn as a vertical line. log: a logarithmic cost.
    """
    front, place = pareto_front(cost, gain), np.log(cost) if log else np.asarray(cost)
    place = (place - place.min()) / max(np.ptp(place), 1e-9)  # on the cost axis: 0 is the cheapest, 1 the dearest
    ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")[1] if ax is None else ax
    line = "Pareto front" if intervals is None else "Pareto front of the means"
    ax.plot([cost[i] for i in front], [gain[i] for i in front], color=PALETTE[1], zorder=1, label=line)
    for index, name in enumerate(names):
        best, spot = index in front, (cost[index], gain[index])
        ax.scatter(*spot, s=45, zorder=2, color=PALETTE[0] if best else "white", edgecolor=PALETTE[0])
        next_to_it = np.count_nonzero((place >= place[index]) & (place < place[index] + CLOSE)) > 1  # not itself alone
        right = (best and next_to_it) or place[index] > 1 - CLOSE
        offset, side = ((-6, 5), "right") if right else ((6, -11), "left")  # clear of the next dot and of the border
        ax.annotate(name, spot, offset, textcoords="offset points", ha=side, fontsize=8, bbox=NAME_BOX)
    if len(front) < len(names):
        ax.scatter([], [], s=45, color="white", edgecolor=PALETTE[0], label="beaten in both")
    if intervals is not None:
        ax.vlines(cost, *zip(*intervals, strict=True), color=PALETTE[0], linewidth=1, zorder=1, label="95 % interval")
    ax.set(xlabel=cost_label, ylabel=gain_label)
    ax.margins(0.18)
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
    else:
        ax.set_xlim(left=max(0, ax.get_xlim()[0]))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", frameon=False, fontsize=8)
    return ax


def per_object_chart(
    costs: Mapping[str, tuple[float, float]], measured: Mapping[int, float] | None = None, most: int = 8
) -> Axes:
    """Plot the time per frame, in seconds, against the number of objects: one line for every choice.

    costs: {name: (seconds per frame, seconds more for every object)}. measured: {objects: seconds}, as black rings.
    most: objects shown.
    """
    counts = range(1, most + 1)
    _, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for (name, (per_frame, per_object)), color, marker in zip(costs.items(), PALETTE, MARKERS, strict=False):
        seconds = [per_frame + n * per_object for n in counts]
        ax.plot(counts, seconds, marker=marker, markersize=4, color=color, label=name)
    if measured:
        ax.scatter(*zip(*measured.items(), strict=True), s=70, color="none", edgecolor="k", zorder=3, label="measured")
    ax.set(xlabel="objects", ylabel="seconds per frame", ylim=(0, None), xticks=list(counts))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", frameon=False)
    return ax
