"""Pictures of a comparison: speed against accuracy with its Pareto line, and cost against the number of objects."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from sam2nb.plotting import PALETTE

CLOSE = 0.1  # of the cost axis: nearer than this, names would write over each other


def pareto_front(cost: Sequence[float], gain: Sequence[float]) -> list[int]:
    """Indices of what nothing else beats in both: cheaper ones come first, each next one gains more.

    cost: smaller is better. gain: larger is better.
    """
    front: list[int] = []
    for index in sorted(range(len(cost)), key=lambda i: (cost[i], -gain[i])):
        if not front or gain[index] > gain[front[-1]]:
            front.append(index)
    return front


def cost_gain_chart(
    names: Sequence[str], cost: Sequence[float], gain: Sequence[float], cost_label: str, gain_label: str
) -> Axes:
    """One dot per choice and the line through those that nothing beats; hollow dots are beaten."""
    front, reach = pareto_front(cost, gain), max(cost) - min(cost)
    _, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    ax.plot([cost[i] for i in front], [gain[i] for i in front], color=_color(1), zorder=1, label="nothing beats these")
    for index, name in enumerate(names):
        best = index in front
        ax.scatter(cost[index], gain[index], s=45, zorder=2, color=_color(0) if best else "white", edgecolor=_color(0))
        close = best and any(0 <= cost[other] - cost[index] < CLOSE * reach for other in front if other != index)
        place, side = ((-6, 5), "right") if close else ((6, -11), "left")  # out of the way of the next one's name
        ax.annotate(name, (cost[index], gain[index]), place, textcoords="offset points", ha=side, fontsize=8)
    ax.set(xlabel=cost_label, ylabel=gain_label)
    ax.margins(0.18)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", frameon=False, fontsize=8)
    return ax


def per_object_chart(per_frame: float, per_object: float, most: int = 8) -> Axes:
    """Time of a frame over the number of objects, and what it would be if nothing were shared. In seconds."""
    counts = range(1, most + 1)
    _, ax = plt.subplots(figsize=(5.4, 3), layout="constrained")
    ax.plot(counts, [per_frame + n * per_object for n in counts], marker="o", color=_color(0), label="picture once")
    alone = [n * (per_frame + per_object) for n in counts]
    ax.plot(counts, alone, marker="s", color=_color(1), label="picture for each object")
    ax.set(xlabel="objects", ylabel="seconds a frame", ylim=(0, None), xticks=list(counts))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", frameon=False)
    return ax


def _color(index: int) -> str:
    return PALETTE[index]
