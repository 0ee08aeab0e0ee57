"""Drawings that explain: SAM 2 as the paper's figure shows it (arXiv 2408.00714, figure 3), in this project's names."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from sam2nb.model.memory_bank import NUM_MASKMEM, MemoryChoice
from sam2nb.plotting import PALETTE

# name -> (x, y of the centre, width, text, palette index or None for data)
BOXES = {
    "frame": (0.5, 1.0, 0.9, "picture\nor frame", None),
    "encoder": (2.1, 1.0, 1.4, "image\nencoder", 0),
    "attention": (4.1, 1.0, 1.5, "memory\nattention", 2),
    "decoder": (6.3, 1.0, 1.5, "mask\ndecoder", 0),
    "answer": (8.3, 1.0, 1.4, "masks, scores,\nlow-res logits", None),
    "prompt": (6.3, -0.5, 1.5, "prompt\nencoder", 0),
    "clicks": (8.3, -0.5, 1.4, "clicks, boxes,\nmasks", None),
    "memorize": (6.3, 2.5, 1.5, "memory\nencoder", 2),
    "bank": (4.1, 2.5, 1.5, "memory\nbank", 2),
}
ARROWS = (
    ("frame", "encoder"),
    ("encoder", "attention"),
    ("attention", "decoder"),
    ("decoder", "answer"),
    ("clicks", "prompt"),
    ("prompt", "decoder"),
    ("memorize", "bank"),
    ("bank", "attention"),
)
HEIGHT = 0.9


def sam2_diagram() -> Axes:
    """Draw the boxes of SAM 2. Blue boxes do still pictures, green ones are added for video."""
    _, ax = plt.subplots(figsize=(8.6, 3.6), layout="constrained")
    for x, y, width, text, color in BOXES.values():
        _box(ax, x, y, width, text, color)
    for start, end in ARROWS:
        _arrow(ax, start, end)
    # the answer goes back as a memory of this frame
    x, y, *_ = BOXES["answer"]
    bend = {
        "arrowstyle": "-|>",
        "mutation_scale": 12,
        "connectionstyle": "angle,angleA=90,angleB=0",
        "color": "#444444",
    }
    ax.add_patch(FancyArrowPatch((x, y + HEIGHT / 2), (BOXES["memorize"][0] + 0.75, 2.5), **bend))
    ax.set_xlim(-0.05, 9.1)
    ax.set_ylim(-1.1, 3.1)
    ax.set_axis_off()
    return ax


def _box(ax: Axes, x: float, y: float, width: float, text: str, color: int | None) -> None:
    face = "#f2f2f2" if color is None else PALETTE[color]
    shape = FancyBboxPatch(
        (x - width / 2, y - HEIGHT / 2), width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.12", facecolor=face
    )
    shape.set_edgecolor("#888888" if color is None else face)
    ax.add_patch(shape)
    ax.text(x, y, text, ha="center", va="center", fontsize=10, color="black" if color is None else "white")


def _arrow(ax: Axes, start: str, end: str) -> None:
    (x1, y1, w1, *_), (x2, y2, w2, *_) = BOXES[start], BOXES[end]
    if y1 == y2:
        side = 1 if x2 > x1 else -1
        tail, head = (x1 + side * w1 / 2, y1), (x2 - side * w2 / 2, y2)
    else:
        side = 1 if y2 > y1 else -1
        tail, head = (x1, y1 + side * HEIGHT / 2), (x2, y2 - side * HEIGHT / 2)
    ax.add_patch(FancyArrowPatch(tail, head, arrowstyle="-|>", mutation_scale=12, color="#444444"))


def memory_timeline(choices: dict[int, MemoryChoice], num_frames: int) -> Axes:
    """Draw which frames each frame attends to, one row per frame.

    choices: frame -> what choose_memories says about it. Filled squares are spatial memories (orange: prompted, blue:
    tracked), small green dots are object pointers, the black bar is the frame itself.
    """
    _, ax = plt.subplots(figsize=(8.2, 0.9 + 0.42 * len(choices)), layout="constrained")
    for row, (frame, choice) in enumerate(choices.items()):
        for other, age in choice.spatial:
            color = PALETTE[5] if age == NUM_MASKMEM - 1 else PALETTE[0]  # the last row stands for "prompted"
            ax.scatter(other, row, s=150, marker="s", color=color)
        pointers = [other for other, _ in choice.pointers]
        ax.scatter(
            pointers, [row] * len(pointers), s=22, color=PALETTE[2], edgecolors="white", linewidths=0.6, zorder=3
        )
        ax.scatter(frame, row, s=190, marker="|", color="black", linewidths=2.5)
    ax.set_yticks(range(len(choices)), [f"frame {frame}" for frame in choices])
    ax.set_xlim(-0.8, num_frames - 0.2)
    ax.set_ylim(len(choices) - 0.4, -0.6)
    ax.set_xlabel("attends to frame")
    ax.spines[["top", "right"]].set_visible(False)
    kinds = (
        ("prompted", PALETTE[5], "s"),
        ("tracked", PALETTE[0], "s"),
        ("pointer", PALETTE[2], "o"),
        ("now", "k", "|"),
    )
    marks = [ax.scatter([], [], color=color, marker=mark, s=50, label=name) for name, color, mark in kinds]
    ax.legend(handles=marks, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=9)
    return ax
