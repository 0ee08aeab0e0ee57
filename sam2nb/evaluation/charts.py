"""Comparison charts: speed against accuracy, and time against the number of objects."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from sam2nb.plotting import PALETTE

CLOSE = 0.1  # of the cost axis: names of dots nearer than this would overlap


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
) -> Axes:
    """Plot one dot for every choice and a line through the Pareto front; hollow dots are beaten by another choice.

    intervals: the lower and upper end for each gain, drawn as a vertical line.
    """
    front, span = pareto_front(cost, gain), max(cost) - min(cost)
    _, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    ax.plot([cost[i] for i in front], [gain[i] for i in front], color=PALETTE[1], zorder=1, label="Pareto front")
    for index, name in enumerate(names):
        best = index in front
        if intervals is not None:
            ax.vlines(cost[index], *intervals[index], color=PALETTE[0], linewidth=1, zorder=1)
        ax.scatter(
            cost[index], gain[index], s=45, zorder=2, color=PALETTE[0] if best else "white", edgecolor=PALETTE[0]
        )
        close = best and any(0 <= cost[other] - cost[index] < CLOSE * span for other in front if other != index)
        offset, side = ((-6, 5), "right") if close else ((6, -11), "left")  # clear of the next dot's name
        ax.annotate(name, (cost[index], gain[index]), offset, textcoords="offset points", ha=side, fontsize=8)
    ax.set(xlabel=cost_label, ylabel=gain_label)
    ax.margins(0.18)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", frameon=False, fontsize=8)
    return ax


def per_object_chart(per_frame: float, per_object: float, most: int = 8) -> Axes:
    """Plot the time per frame, in seconds, against the number of objects, with and without sharing the image encoding.

    per_frame: seconds for the part that all objects share. per_object: seconds for every object. most: objects shown.
    """
    counts = range(1, most + 1)
    _, ax = plt.subplots(figsize=(5.4, 3), layout="constrained")
    ax.plot(
        counts, [per_frame + n * per_object for n in counts], marker="o", color=PALETTE[0], label="image encoded once"
    )
    alone = [n * (per_frame + per_object) for n in counts]
    ax.plot(counts, alone, marker="s", color=PALETTE[1], label="image encoded for every object")
    ax.set(xlabel="objects", ylabel="seconds per frame", ylim=(0, None), xticks=list(counts))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", frameon=False)
    return ax
