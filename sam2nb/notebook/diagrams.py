"""Diagrams: the boxes of SAM 2 (arXiv 2408.00714, figure 3), its memory in time, a step of attention."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from sam2nb.model.memory_bank import NUM_MASKMEM, MemoryChoice
from sam2nb.plotting import PALETTE

HEIGHT = 0.9  # of a box
FADED = 0.3  # opacity of boxes that are not lit
ROOM_ABOVE = ("image\nencoder", "mask\ndecoder", "memory\nencoder", "memory\nbank")  # where arrows begin below
ARROW_STYLE = {"arrowstyle": "-|>", "mutation_scale": 12, "color": "#444444"}
FOR_IMAGES, FOR_VIDEO = 0, 2  # in the palette
PROMPTED_ROW = NUM_MASKMEM - 1  # of the temporal position table; the rows before it are ages
WIDEST_LINE = 16.0  # points, for a share of 1
PROMPTED_COLOR, TRACKED_COLOR, POINTER_COLOR = PALETTE[5], PALETTE[0], PALETTE[2]


class Box(NamedTuple):
    """A box of the diagram: its centre, width, text, and palette index (None for data)."""

    x: float
    y: float
    width: float
    text: str
    color: int | None


BOXES = {
    "frame": Box(0.5, 1.0, 0.9, "image\nor frame", None),
    "encoder": Box(2.1, 1.0, 1.4, "image\nencoder", FOR_IMAGES),
    "attention": Box(4.1, 1.0, 1.5, "memory\nattention", FOR_VIDEO),
    "decoder": Box(6.3, 1.0, 1.5, "mask\ndecoder", FOR_IMAGES),
    "masks": Box(8.3, 1.0, 1.4, "masks, scores,\nlow-res logits", None),
    "prompt encoder": Box(6.3, -0.5, 1.5, "prompt\nencoder", FOR_IMAGES),
    "prompts": Box(8.3, -0.5, 1.4, "clicks, boxes,\nmasks", None),
    "memory encoder": Box(6.3, 2.5, 1.5, "memory\nencoder", FOR_VIDEO),
    "bank": Box(4.1, 2.5, 1.5, "memory\nbank", FOR_VIDEO),
}
ARROWS = (
    ("frame", "encoder"),
    ("encoder", "attention"),
    ("attention", "decoder"),
    ("decoder", "masks"),
    ("prompts", "prompt encoder"),
    ("prompt encoder", "decoder"),
    ("memory encoder", "bank"),
    ("bank", "attention"),
)


def sam2_diagram(lit: Collection[str] | None = None, shapes: Mapping[str, str] | None = None) -> Axes:
    """Draw the boxes of SAM 2. Still images need the blue boxes, video adds the green ones and the dashed arrows.

    lit: names of boxes (see BOXES); the others fade. None leaves all as they are. shapes: a text beside each of these
    boxes, such as the shape of its output. Raises ValueError for an unknown box.
    """
    unknown = {*(lit or ()), *(shapes or ())} - set(BOXES)
    if unknown:
        raise ValueError(f"the diagram has no box {sorted(unknown)[0]!r}; it has {', '.join(BOXES)}")
    _, ax = plt.subplots(figsize=(8.6, 3.6), layout="constrained")
    for name, box in BOXES.items():
        _draw_box(ax, box, faded=lit is not None and name not in lit)
    for name, text in (shapes or {}).items():
        _write_shape(ax, BOXES[name], text)
    for start, end in ARROWS:
        _draw_arrow(ax, BOXES[start], BOXES[end])
    # the prediction becomes a memory of this frame
    masks, encoder = BOXES["masks"], BOXES["memory encoder"]
    ends = (masks.x, masks.y + HEIGHT / 2), (encoder.x + encoder.width / 2, encoder.y)
    dashed = {**ARROW_STYLE, "linestyle": "--"}
    ax.add_patch(FancyArrowPatch(*ends, connectionstyle="angle,angleA=90,angleB=0", **dashed))
    _draw_bypass(ax, BOXES["encoder"], BOXES["decoder"])
    ax.set_xlim(-0.05, 9.1)
    ax.set_ylim(*((-1.4, 3.4) if shapes else (-1.1, 3.1)))
    ax.set_axis_off()
    return ax


def memory_timeline(choices: dict[int, MemoryChoice], num_frames: int) -> Axes:
    """Draw the frames that each frame attends to, one row per frame.

    choices: frame -> the result of choose_memories for it, with the default num_maskmem. num_frames: of the whole clip.
    Filled squares are spatial memories (orange: prompted, blue: tracked), green dots below them are object pointers,
    the black bar is the frame itself.
    """
    _, ax = plt.subplots(figsize=(8.2, 0.9 + 0.5 * len(choices)), layout="constrained")
    for row, (frame, choice) in enumerate(choices.items()):
        for other, table_row in choice.spatial:
            color = PROMPTED_COLOR if table_row == PROMPTED_ROW else TRACKED_COLOR
            ax.scatter(other, row - 0.15, s=110, marker="s", color=color)
        pointers = [other for other, _ in choice.pointers]
        ax.scatter(pointers, [row + 0.25] * len(pointers), s=50, color=POINTER_COLOR)
        ax.scatter(frame, row, s=380, marker="|", color="black", linewidths=2.5)
    ax.set_yticks(range(len(choices)), [f"frame {frame}" for frame in choices])
    ax.set_xlim(-0.8, num_frames - 0.2)
    ax.set_ylim(len(choices) - 0.45, -0.6)
    ax.set_xlabel("attends to frame")
    ax.spines[["top", "right"]].set_visible(False)
    kinds = (
        ("prompted", PROMPTED_COLOR, "s"),
        ("tracked", TRACKED_COLOR, "s"),
        ("pointer", POINTER_COLOR, "o"),
        ("now", "k", "|"),
    )
    marks = [ax.scatter([], [], color=color, marker=mark, s=50, label=name) for name, color, mark in kinds]
    ax.legend(handles=marks, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=9)
    return ax


def lookup_diagram(
    names: Sequence[str], colors: Any, values: Sequence[float], query: Any, shares: Sequence[float] | None = None
) -> Axes:
    """Draw one step of attention: the colour that asks above, the table of keys and values below.

    colors: (N, 3) in 0..1, the keys. query: (3,) likewise. shares: (N,), drawn as lines whose width is the share.
    """
    _, ax = plt.subplots(figsize=(6.4, 2.7), layout="constrained")
    places = [1.4 * column for column in range(len(names))]
    middle, side = places[-1] / 2, 0.5
    for x, y, color in [(middle, 1.7, query), *((x, 0.0, color) for x, color in zip(places, colors, strict=True))]:
        corner = (x - side / 2, y - side / 2)
        ax.add_patch(Rectangle(corner, side, side, facecolor=tuple(color), edgecolor="#444444", zorder=3))
    ax.text(middle + side, 1.7, "query: a pixel of the next frame", va="center")
    for x, name, value in zip(places, names, values, strict=True):
        ax.text(x, -0.8 * side, f"{name}\nvalue {value:g}", ha="center", va="top")
    for x, share in zip(places, () if shares is None else shares, strict=shares is not None):
        ax.plot((middle, x), (1.7, 0), color=PALETTE[0], alpha=0.7, linewidth=max(WIDEST_LINE * share, 0.5))
        place = (middle + 0.62 * (x - middle), 1.7 * 0.38)
        ax.text(*place, f"{share:.0%}", ha="center", va="center", bbox={"facecolor": "white", "edgecolor": "none"})
    ax.set(xlim=(-0.8, places[-1] + 0.8), ylim=(-1.2, 2.0), aspect="equal")
    ax.set_axis_off()
    return ax


def _draw_box(ax: Axes, box: Box, faded: bool = False) -> None:
    is_data = box.color is None
    face = "#f2f2f2" if is_data else PALETTE[box.color]
    corner = (box.x - box.width / 2, box.y - HEIGHT / 2)
    shape = FancyBboxPatch(corner, box.width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.12", facecolor=face)
    shape.set_edgecolor("#888888" if is_data else face)
    shape.set_alpha(FADED if faded else 1.0)
    ax.add_patch(shape)
    ax.text(
        box.x,
        box.y,
        box.text,
        ha="center",
        va="center",
        fontsize=10,
        color="black" if is_data else "white",
        alpha=(2 * FADED) if faded and is_data else 1.0,
    )


def _write_shape(ax: Axes, box: Box, text: str) -> None:
    """A shape in small letters, above or below the box, wherever no arrow begins."""
    above = box.text in ROOM_ABOVE
    y = box.y + (HEIGHT / 2 + 0.08 if above else -HEIGHT / 2 - 0.08)
    ax.text(box.x, y, text, ha="center", va="bottom" if above else "top", fontsize=8.5, color="black")


def _draw_bypass(ax: Axes, start: Box, end: Box) -> None:
    """The way of a still image, below the box of the memory."""
    tail, head = (start.x + 0.3, start.y - HEIGHT / 2), (end.x - 0.4, end.y - HEIGHT / 2)
    style = {**ARROW_STYLE, "color": PALETTE[FOR_IMAGES], "linewidth": 1.8}
    ax.add_patch(FancyArrowPatch(tail, head, connectionstyle="arc3,rad=0.22", **style))
    ax.text(
        (tail[0] + head[0]) / 2, tail[1] - 0.62, "still images", color=PALETTE[FOR_IMAGES], ha="center", va="center"
    )


def _draw_arrow(ax: Axes, start: Box, end: Box) -> None:
    if start.y == end.y:
        side = 1 if end.x > start.x else -1
        tail, head = (start.x + side * start.width / 2, start.y), (end.x - side * end.width / 2, end.y)
    else:
        side = 1 if end.y > start.y else -1
        tail, head = (start.x, start.y + side * HEIGHT / 2), (end.x, end.y - side * HEIGHT / 2)
    linestyle = "--" if FOR_VIDEO in (start.color, end.color) else "-"
    ax.add_patch(FancyArrowPatch(tail, head, linestyle=linestyle, **ARROW_STYLE))
