"""Pictures of pictures: arrays in, matplotlib figures and supervision overlays out.

Everything a notebook shows comes from here, so that one object keeps one colour from the first page to the
last. Colours are Okabe and Ito's set, which stays apart under every common form of colour blindness
(https://jfly.uni-koeln.de/color/); include and exclude clicks also differ in shape. Masks and boxes are drawn by
supervision, points and score labels by matplotlib. Nothing here knows the model: masks are arrays.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import supervision as sv
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito, reordered so that neighbours in the list differ most; object 0 is blue.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
INCLUDE_COLOR = "#0072B2"
EXCLUDE_COLOR = "#D55E00"
BOX_COLOR = "#F0E442"

FIGURE_DPI = 80  # 10 inches wide = 800 pixels: sharp enough to read, small enough to commit
JPEG_QUALITY = 82
PANEL_WIDTH = 3.4  # inches for one picture of a row
SINGLE_WIDTH = 5.6  # inches for a picture that stands alone

_caption: str | None = None


def color_of(index: int) -> tuple[int, int, int]:
    """The fixed colour of object `index` as (red, green, blue) in 0..255; the palette repeats after seven."""
    return sv.Color.from_hex(PALETTE[int(index) % len(PALETTE)]).as_rgb()


# --- drawing on arrays ------------------------------------------------------------------------------------------------


def draw_masks(
    image: Any,
    masks: Any,
    colors: Sequence[int] | None = None,
    opacity: float = 0.5,
    outline: int | None = None,
) -> np.ndarray:
    """Lay masks over a picture.

    image: HxWx3 or HxW, uint8 or float in 0..1. masks: (H, W), (N, H, W) or (N, 1, H, W); booleans, or logits
    (positive = inside). colors: one object index per mask, default 0, 1, 2, ...; outline: line width in pixels, 0 for
    none, default grows with the picture. Returns HxWx3 uint8; large masks are drawn first, so small ones stay visible.
    """
    picture = as_picture(image)
    stack = as_masks(masks, picture.shape[:2])
    if len(stack) == 0:
        return picture
    detections = _detections(stack, colors)
    if outline is None:
        outline = max(1, round(max(picture.shape[:2]) / 320))
    palette = sv.ColorPalette.from_hex(list(PALETTE))
    lookup = sv.ColorLookup.CLASS
    # supervision works on BGR pictures, as OpenCV does
    scene = np.ascontiguousarray(picture[:, :, ::-1])
    scene = sv.MaskAnnotator(color=palette, opacity=opacity, color_lookup=lookup).annotate(scene, detections)
    if outline:
        scene = sv.PolygonAnnotator(color=palette, thickness=outline, color_lookup=lookup).annotate(scene, detections)
    return np.ascontiguousarray(scene[:, :, ::-1])


def draw_boxes(image: Any, boxes: Any, colors: Sequence[int] | None = None, thickness: int | None = None) -> np.ndarray:
    """Draw boxes (x1, y1, x2, y2) on a picture; without `colors` all are the yellow of a box prompt."""
    picture = as_picture(image)
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    if len(corners) == 0:
        return picture
    if thickness is None:
        thickness = max(2, round(max(picture.shape[:2]) / 250))
    palette = sv.ColorPalette.from_hex([BOX_COLOR] if colors is None else list(PALETTE))
    class_id = np.zeros(len(corners), int) if colors is None else np.asarray(colors, int) % len(PALETTE)
    annotator = sv.BoxAnnotator(color=palette, thickness=thickness, color_lookup=sv.ColorLookup.CLASS)
    scene = np.ascontiguousarray(picture[:, :, ::-1])
    scene = annotator.annotate(scene, sv.Detections(xyxy=corners, class_id=class_id))
    return np.ascontiguousarray(scene[:, :, ::-1])


def pca_colors(features: Any, reference: Any | None = None) -> np.ndarray:
    """Features as colours: the three strongest directions of variation become red, green and blue.

    features: (C, h, w) or (1, C, h, w). reference: other features of the same C whose directions are used, so that
    two pictures can be compared. Returns h x w x 3 uint8. Signs are fixed: the same features give the same colours.
    """
    grid = _feature_grid(features)
    basis_from = grid if reference is None else _feature_grid(reference)
    flat = basis_from.reshape(len(basis_from), -1).T
    mean = flat.mean(axis=0)
    _, _, directions = np.linalg.svd(flat - mean, full_matrices=False)
    directions = directions[:3]
    strongest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), strongest])[:, None]
    scale = (flat - mean) @ directions.T
    low, high = np.percentile(scale, [2, 98], axis=0)
    projected = (grid.reshape(len(grid), -1).T - mean) @ directions.T
    unit = np.clip((projected - low) / np.maximum(high - low, 1e-12), 0, 1)
    colors = np.zeros((*grid.shape[1:], 3))
    colors[..., : unit.shape[1]] = unit.reshape(*grid.shape[1:], -1)
    return (colors * 255).round().astype(np.uint8)


# --- figures ----------------------------------------------------------------------------------------------------------


def show_image(image: Any, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Show a picture without axes. Returns the axes, so that you can draw on top."""
    picture = as_picture(image)
    ax = _axes_for(picture.shape[:2], ax)
    ax.imshow(picture, interpolation="nearest" if max(picture.shape[:2]) < 128 else "antialiased")
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=10)
    return ax


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
    opacity: float = 0.5,
) -> Axes:
    """Show masks on a picture, with the prompts that asked for them.

    masks: as in draw_masks. scores: one number or text per mask, written beside its mask. points: (N, 2) as (x, y) with
    labels (N,): 1 include (a blue plus), 0 exclude (an orange cross). boxes: (4,) or (N, 4) as (x1, y1, x2, y2).
    colors: one object index per mask, default 0, 1, 2, ... Returns the axes.
    """
    picture = as_picture(image)
    stack = as_masks(masks, picture.shape[:2])
    ax = show_image(draw_masks(picture, stack, colors=colors, opacity=opacity), title=title, ax=ax)
    if boxes is not None:
        show_boxes(boxes, ax)
    if points is not None:
        show_points(points, labels, ax)
    if scores is not None:
        _label_masks(stack, np.atleast_1d(np.asarray(scores, dtype=object)), ax, colors)
    return ax


def show_points(points: Any, labels: Any | None = None, ax: Axes | None = None) -> Axes:
    """Draw clicks: a blue disc with a plus where label is 1, an orange disc with a cross where it is 0."""
    ax = plt.gca() if ax is None else ax
    coords = np.asarray(points, dtype=float).reshape(-1, 2)
    kinds = np.ones(len(coords), int) if labels is None else np.asarray(labels, dtype=int).reshape(-1)
    if len(kinds) != len(coords):
        raise ValueError(f"labels has {len(kinds)} entries for {len(coords)} points; give one label per point")
    for kind, color, sign in ((1, INCLUDE_COLOR, "+"), (0, EXCLUDE_COLOR, "x")):
        if not (kinds == kind).any():
            continue
        x, y = coords[kinds == kind].T
        ax.scatter(x, y, s=110, c=color, edgecolors="white", linewidths=1.4, zorder=5)
        ax.scatter(x, y, s=42, c="white", marker=sign, linewidths=1.6, zorder=6)
    return ax


def show_boxes(boxes: Any, ax: Axes | None = None, color: str = BOX_COLOR) -> Axes:
    """Draw box prompts as lines with a dark rim that shows on any picture. boxes: (4,) or (N, 4) as x1, y1, x2, y2."""
    ax = plt.gca() if ax is None else ax
    for x1, y1, x2, y2 in np.asarray(boxes, dtype=float).reshape(-1, 4):
        frame_x, frame_y = [x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1]
        ax.plot(frame_x, frame_y, color="black", linewidth=3.6, alpha=0.6, zorder=3)
        ax.plot(frame_x, frame_y, color=color, linewidth=2.0, zorder=4)
    return ax


def show_map(
    values: Any,
    image: Any | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    cmap: str | None = None,
    bar: bool = True,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Show a map of numbers: logits, attention, differences.

    values: (h, w). image: a picture to lay it over, of any size. Maps with negative and positive values get a
    two-sided colour scale around zero, others a one-sided one. limits: (lowest, highest) shown.
    """
    grid = _to_numpy(values).astype(float)
    grid = grid.squeeze() if grid.ndim > 2 else grid
    if grid.ndim != 2:
        raise ValueError(f"values must have two dimensions after squeezing, got shape {_to_numpy(values).shape}")
    two_sided = grid.min() < 0 < grid.max()
    if limits is None:
        reach = np.abs(grid).max()
        limits = (-reach, reach) if two_sided else (grid.min(), grid.max())
    size_hw = grid.shape if image is None else as_picture(image).shape[:2]
    ax = _axes_for(size_hw, ax)
    extent = (-0.5, size_hw[1] - 0.5, size_hw[0] - 0.5, -0.5)
    if image is not None:
        ax.imshow(as_picture(image), extent=extent)
    drawn = ax.imshow(
        grid,
        cmap=cmap or ("RdBu" if two_sided else "cividis"),
        vmin=limits[0],
        vmax=limits[1],
        extent=extent,
        alpha=0.6 if image is not None else 1.0,
        interpolation="nearest" if image is None else "bilinear",
    )
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=10)
    if bar:
        ax.figure.colorbar(drawn, ax=ax, fraction=0.046, pad=0.03)
    return ax


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
    opacity: float = 0.5,
) -> Figure:
    """Show several pictures in a row (or in rows of `columns`).

    images: a list of pictures, or one picture to repeat in every panel. All other lists hold one entry per panel, with
    None where a panel has nothing: `masks[i]`, `points[i]`, ... mean what they mean in show_masks. Returns the figure.
    """
    per_panel = [entry for entry in (titles, masks, points, boxes, colors, scores) if entry is not None]
    if _is_one_picture(images):
        images = [images] * (len(per_panel[0]) if per_panel else 1)
    pictures = [as_picture(image) for image in images]
    count = len(pictures)
    for name, entry in (("titles", titles), ("masks", masks), ("scores", scores), ("points", points)):
        if entry is not None and len(entry) != count:
            raise ValueError(f"{name} has {len(entry)} entries for {count} panels; give one each, or None")
    columns = min(count, columns or (4 if count > 4 else count))
    rows = -(-count // columns)
    if panel_width is None:
        panel_width = min(PANEL_WIDTH, 10.2 / columns)
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    head = 0.35 if titles else 0.05
    size = (panel_width * columns, rows * (panel_width * tallest + head))
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for place, ax in enumerate(grid.flat):
        if place >= count:
            ax.set_axis_off()
            continue

        def pick(entry: Sequence[Any] | None, place: int = place) -> Any:
            return None if entry is None else entry[place]

        show_masks(
            pictures[place],
            pick(masks) if pick(masks) is not None else np.zeros((0, *pictures[place].shape[:2]), bool),
            scores=pick(scores),
            points=pick(points),
            labels=pick(labels),
            boxes=pick(boxes),
            colors=pick(colors),
            title=pick(titles),
            ax=ax,
            opacity=opacity,
        )
    return figure


def bar_chart(
    names: Sequence[str], values: Sequence[float], title: str, unit: str = "", ax: Axes | None = None
) -> Axes:
    """Horizontal bars with their numbers written at the end, first name on top."""
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 0.5 + 0.38 * len(names)), layout="constrained")
    bars = ax.barh(list(names), list(values), color=PALETTE[0])
    ax.bar_label(bars, [f"{value:g}{unit}" for value in values], padding=4, fontsize=9)
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.set_xticks([])
    ax.set_title(title, fontsize=10, loc="left")
    return ax


# --- files and encodings ----------------------------------------------------------------------------------------------


def set_caption(text: str | None) -> None:
    """Write a line under every picture from now on, for example that the weights are random; None takes it away."""
    global _caption
    _caption = text


def notebook_bytes(figure: Figure, kind: str) -> bytes | None:
    """The figure in the format that suits it, None for the other one: what a notebook stores of it."""
    suits = "jpeg" if _shows_photographs(figure) else "png"
    return figure_bytes(figure, kind) if kind == suits else None


def figure_bytes(figure: Figure, kind: str | None = None, dpi: int = FIGURE_DPI, quality: int = JPEG_QUALITY) -> bytes:
    """The figure as a small file. kind: "jpeg" or "png"; by default JPEG where it shows photographs, PNG for charts."""
    kind = kind or ("jpeg" if _shows_photographs(figure) else "png")
    options = {"quality": quality, "optimize": True, "progressive": True} if kind == "jpeg" else {"optimize": True}
    target = io.BytesIO()
    if _caption and not any(text.get_text() == _caption for text in figure.texts):
        figure.text(0.5, 0.0, _caption, ha="center", va="top", color=EXCLUDE_COLOR, fontsize=10, weight="bold")
    figure.savefig(target, format=kind, dpi=dpi, bbox_inches="tight", facecolor="white", pil_kwargs=options)
    return target.getvalue()


def save_figure(figure: Figure | Axes, path: str | Path, dpi: int = FIGURE_DPI, quality: int = JPEG_QUALITY) -> Path:
    """Write a figure (or the figure of an axes) as a small .jpg or .png, by the ending of `path`."""
    path = Path(path)
    kinds = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}
    if path.suffix.lower() not in kinds:
        raise ValueError(f"path must end in .jpg, .jpeg or .png, got {path.name!r}")
    owner = figure.figure if isinstance(figure, Axes) else figure
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(figure_bytes(owner, kinds[path.suffix.lower()], dpi, quality))
    return path


def image_bytes(image: Any, kind: str = "jpeg", quality: int = JPEG_QUALITY, longest: int | None = None) -> bytes:
    """A picture as a JPEG or PNG file in memory; `longest` shrinks its longer side to so many pixels."""
    picture = Image.fromarray(as_picture(image))
    if longest is not None:
        picture.thumbnail((longest, longest))
    target = io.BytesIO()
    picture.save(target, kind, **({"quality": quality, "optimize": True} if kind == "jpeg" else {}))
    return target.getvalue()


# --- reading what came ------------------------------------------------------------------------------------------------


def as_picture(image: Any) -> np.ndarray:
    """HxW or HxWx3 (uint8, bool, or float in 0..1), a PIL image or a (3, H, W) tensor -> HxWx3 uint8."""
    if isinstance(image, Image.Image):
        image = image.convert("RGB")
    picture = _to_numpy(image)
    if picture.ndim == 3 and picture.shape[0] in (1, 3) and picture.shape[2] not in (1, 3, 4):
        picture = picture.transpose(1, 2, 0)
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4):
        raise ValueError(f"image must be HxW, HxWx3 or HxWx4, got shape {_to_numpy(image).shape}")
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    elif picture.dtype == np.uint16:
        picture = (picture // 257).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = (np.clip(picture.astype(float), 0, 1) * 255).round().astype(np.uint8)
    picture = picture[:, :, :3]
    return np.ascontiguousarray(np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture)


def as_masks(masks: Any, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W), (N, H, W), (N, 1, H, W) bool, 0/1 or logits, or a list -> (N, H, W) bool of exactly that size."""
    if isinstance(masks, (list, tuple)):
        masks = np.stack([_to_numpy(mask).squeeze() for mask in masks]) if len(masks) else np.zeros((0, *size_hw), bool)
    stack = _to_numpy(masks)
    if stack.ndim == 2:
        stack = stack[None]
    if stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim != 3 or stack.shape[1:] != tuple(size_hw):
        raise ValueError(f"masks must be (N, {size_hw[0]}, {size_hw[1]}) like the picture, got shape {stack.shape}")
    return stack if stack.dtype == bool else stack > 0


def _to_numpy(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):  # a torch tensor, without importing torch here
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return values.numpy()
    return np.asarray(values)


def _feature_grid(features: Any) -> np.ndarray:
    grid = _to_numpy(features).astype(float)
    if grid.ndim == 4 and grid.shape[0] == 1:
        grid = grid[0]
    if grid.ndim != 3:
        raise ValueError(f"features must be (C, h, w) or (1, C, h, w), got shape {grid.shape}")
    return grid


def _detections(stack: np.ndarray, colors: Sequence[int] | None) -> sv.Detections:
    indices = np.arange(len(stack)) if colors is None else np.atleast_1d(np.asarray(colors, int))
    if len(indices) != len(stack):
        raise ValueError(f"colors has {len(indices)} entries for {len(stack)} masks; give one object index per mask")
    return sv.Detections(xyxy=sv.mask_to_xyxy(stack).astype(np.float32), mask=stack, class_id=indices % len(PALETTE))


def _is_one_picture(images: Any) -> bool:
    return isinstance(images, Image.Image) or (hasattr(images, "ndim") and images.ndim in (2, 3))


def _axes_for(size_hw: tuple[int, int], ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    height, width = size_hw
    scale = SINGLE_WIDTH / max(width, height * 1.15)
    _, ax = plt.subplots(figsize=(width * scale, height * scale + 0.3), layout="constrained")
    return ax


def _label_masks(stack: np.ndarray, scores: np.ndarray, ax: Axes, colors: Sequence[int] | None) -> None:
    if len(scores) != len(stack):
        raise ValueError(f"scores has {len(scores)} entries for {len(stack)} masks; give one per mask")
    height, width = stack.shape[1:]
    for place, (mask, score) in enumerate(zip(stack, scores, strict=True)):
        rows, cols = np.nonzero(mask)
        if len(rows) == 0:
            continue
        text = score if isinstance(score, str) else f"{float(score):.2f}"
        index = place if colors is None else list(colors)[place]
        # inside the picture whatever the mask: a label that leaves the axes would be cut off
        x = float(np.clip(np.median(cols), 0.08 * width, 0.92 * width))
        y = float(np.clip(rows.min(), 0.06 * height, 0.94 * height))
        rim = np.array(color_of(index)) / 255
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": rim, "linewidth": 1.8, "alpha": 0.92}
        ax.text(x, y, text, fontsize=9, color="black", ha="center", va="center", bbox=box, zorder=7)


def _shows_photographs(figure: Figure) -> bool:
    return any(ax.images for ax in figure.axes)
