"""The palette, masks painted on images, and features as colours.

The colours are Okabe and Ito's, which stay distinct under every common form of colour blindness
(https://jfly.uni-koeln.de/color/). An object keeps its colour from the first figure to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import supervision as sv
from PIL import Image

# Okabe and Ito, reordered so that neighbours in the list differ most; object 0 is blue.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
INCLUDE_COLOR = PALETTE[0]
EXCLUDE_COLOR = PALETTE[5]
BOX_COLOR = PALETTE[6]
MASK_OPACITY = 0.5
UINT16_PER_UINT8 = 257  # 65535 / 255
OUTLINED_SHARE = 0.0005  # of the image: smaller pieces and holes of a mask get no outline
DIMMED = 0.3  # brightness that is left of a dimmed background
DIMMED_COLORS = (4, 6, 3, 1, 2, 5, 0)  # the palette with those first that show on a dark background
NAME_HEIGHT = 1 / 32  # of the letters of a name, as a share of the image's longer side
MIN_NAME_HEIGHT = 10  # pixels


def color_of(index: int) -> tuple[int, int, int]:
    """The colour of object `index` as (red, green, blue) in 0..255; the palette repeats after seven objects."""
    return sv.Color.from_hex(PALETTE[int(index) % len(PALETTE)]).as_rgb()


def draw_masks(
    image: Any,
    masks: Any,
    colors: Sequence[int] | None = None,
    opacity: float = MASK_OPACITY,
    outline: int | None = None,
    dim: bool = False,
) -> np.ndarray:
    """Paint masks on a copy of an image.

    image: HxWx3 or HxW, uint8 or float in 0..1. masks: (H, W), (N, H, W) or (N, 1, H, W); booleans, or logits
    (positive = inside). colors: one object index per mask, see `default_colors`. outline: line width in
    pixels, 0 for none, by default in proportion to the image; pieces and holes below 0.05 % of the image get none.
    dim: darken the background and leave the objects in their own colours. Returns HxWx3 uint8; large masks are painted
    first, so that small ones stay visible. Raises ValueError if masks or colors do not fit.
    """
    rgb = as_rgb(image)
    stack = as_masks(masks, rgb.shape[:2])
    if len(stack) == 0:
        return rgb
    detections = _detections(stack, default_colors(len(stack), dim) if colors is None else colors)
    if outline is None:
        outline = max(1, round(max(rgb.shape[:2]) / 320))
    if dim:
        scene = np.where(stack.any(axis=0)[:, :, None], rgb, _darkened(rgb))
    else:
        style = {"color": sv.ColorPalette.from_hex(list(PALETTE)), "color_lookup": sv.ColorLookup.CLASS}
        bgr = np.ascontiguousarray(rgb[:, :, ::-1])  # supervision expects BGR, as OpenCV does
        scene = sv.MaskAnnotator(opacity=opacity, **style).annotate(bgr, detections)[:, :, ::-1]
    return _outlined(scene, stack, detections.class_id, outline) if outline else np.ascontiguousarray(scene)


def default_colors(count: int, dim: bool = False) -> list[int]:
    """The palette indices of `count` masks: 0, 1, 2 and so on, or in an order for a dimmed background."""
    return [DIMMED_COLORS[row % len(PALETTE)] if dim else row for row in range(count)]


def draw_names(
    image: np.ndarray, names: Sequence[str | None], boxes: Any, colors: Sequence[int] | None = None
) -> np.ndarray:
    """Write the names of objects on a copy of an image, each in the middle of its box.

    image: HxWx3 uint8. names: None or "" for an object without one. boxes: (N, 4) as x1, y1, x2, y2; an object whose
    box is empty is left out. colors: one object index per name, as for `draw_masks`. Returns HxWx3 uint8.
    """
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    shown = [row for row, name in enumerate(names) if name and (corners[row, 2:] > corners[row, :2]).all()]
    if not shown:
        return image.copy()
    indices = np.arange(len(names)) if colors is None else np.asarray(colors, int)
    detections = sv.Detections(xyxy=corners[shown], class_id=indices[shown] % len(PALETTE))
    height = max(MIN_NAME_HEIGHT, round(max(image.shape[:2]) * NAME_HEIGHT))
    writer = sv.RichLabelAnnotator(
        color=sv.ColorPalette.from_hex(list(PALETTE)),
        color_lookup=sv.ColorLookup.CLASS,
        text_color=sv.Color.BLACK,
        text_position=sv.Position.CENTER,
        font_size=height,
        text_padding=height // 4,
    )
    bgr = np.ascontiguousarray(image[:, :, ::-1])  # as supervision expects
    written = writer.annotate(bgr, detections, [str(names[row]) for row in shown])
    return np.ascontiguousarray(written[:, :, ::-1])


def pca_colors(features: Any, reference: Any | None = None) -> np.ndarray:
    """Show features as colours: their three principal components become red, green and blue.

    features: (C, h, w) or (1, C, h, w). reference: other features with the same C whose components are used, so that
    two results can be compared. Returns h x w x 3 uint8. Signs are fixed: the same features give the same colours.
    """
    grid = _feature_grid(features)
    fitted = (grid if reference is None else _feature_grid(reference)).reshape(len(grid), -1).T
    mean = fitted.mean(axis=0)
    _, _, components = np.linalg.svd(fitted - mean, full_matrices=False)
    components = components[:3]
    strongest = np.abs(components).argmax(axis=1)
    components = components * np.sign(components[np.arange(len(components)), strongest])[:, None]
    low, high = np.percentile((fitted - mean) @ components.T, [2, 98], axis=0)
    projected = (grid.reshape(len(grid), -1).T - mean) @ components.T
    unit = np.clip((projected - low) / np.maximum(high - low, 1e-12), 0, 1)
    colors = np.zeros((*grid.shape[1:], 3))
    colors[..., : unit.shape[1]] = unit.reshape(*grid.shape[1:], -1)
    return (colors * 255).round().astype(np.uint8)


def as_rgb(image: Any) -> np.ndarray:
    """HxW, HxWx3 or HxWx4 (uint8, uint16, bool, or float in 0..1), a PIL image or a (3, H, W) tensor -> HxWx3 uint8.

    Raises ValueError for any other shape.
    """
    if isinstance(image, Image.Image):
        image = image.convert("RGB")
    rgb = to_array(image)
    if rgb.ndim == 3 and rgb.shape[0] in (1, 3) and rgb.shape[2] not in (1, 3, 4):
        rgb = rgb.transpose(1, 2, 0)
    if rgb.ndim == 2:
        rgb = rgb[:, :, None]
    if rgb.ndim != 3 or rgb.shape[2] not in (1, 3, 4):
        raise ValueError(f"image must be HxW, HxWx3 or HxWx4, got shape {to_array(image).shape}")
    if rgb.dtype == bool:
        rgb = rgb.astype(np.uint8) * 255
    elif rgb.dtype == np.uint16:
        rgb = (rgb // UINT16_PER_UINT8).astype(np.uint8)
    elif rgb.dtype != np.uint8:
        rgb = (np.clip(rgb.astype(float), 0, 1) * 255).round().astype(np.uint8)
    rgb = rgb[:, :, :3]
    return np.ascontiguousarray(np.repeat(rgb, 3, axis=2) if rgb.shape[2] == 1 else rgb)


def as_masks(masks: Any, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W), (N, H, W), (N, 1, H, W) bool, 0/1 or logits, or a list of masks -> (N, H, W) bool.

    size_hw: the size of the image; raises ValueError if the masks have another one.
    """
    if isinstance(masks, (list, tuple)):
        masks = np.stack([to_array(mask).squeeze() for mask in masks]) if len(masks) else np.zeros((0, *size_hw), bool)
    stack = to_array(masks)
    if stack.ndim == 2:
        stack = stack[None]
    if stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim != 3 or stack.shape[1:] != tuple(size_hw):
        raise ValueError(f"masks must be (N, {size_hw[0]}, {size_hw[1]}) like the image, got shape {stack.shape}")
    return stack if stack.dtype == bool else stack > 0


def to_array(values: Any) -> np.ndarray:
    """A tensor on any device, in any precision, or whatever numpy can read -> a numpy array."""
    if hasattr(values, "detach"):  # a torch tensor; no need to import torch
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return values.numpy()
    return np.asarray(values)


def _feature_grid(features: Any) -> np.ndarray:
    grid = to_array(features).astype(float)
    if grid.ndim == 4 and grid.shape[0] == 1:
        grid = grid[0]
    if grid.ndim != 3:
        raise ValueError(f"features must be (C, h, w) or (1, C, h, w), got shape {grid.shape}")
    return grid


def _detections(stack: np.ndarray, colors: Sequence[int]) -> sv.Detections:
    indices = np.atleast_1d(np.asarray(colors, int))
    if len(indices) != len(stack):
        raise ValueError(f"colors has {len(indices)} entries for {len(stack)} masks; give one object index per mask")
    return sv.Detections(xyxy=sv.mask_to_xyxy(stack).astype(np.float32), mask=stack, class_id=indices % len(PALETTE))


def _darkened(rgb: np.ndarray) -> np.ndarray:
    grey = rgb.mean(axis=2, keepdims=True)
    return (DIMMED * (rgb + grey) / 2).round().astype(np.uint8)


def _outlined(rgb: np.ndarray, stack: np.ndarray, indices: np.ndarray, thickness: int) -> np.ndarray:
    """A copy with the outlines of masks, those of large ones first. Specks stay without, unless a mask has no more."""
    drawn = np.ascontiguousarray(rgb)
    least = OUTLINED_SHARE * rgb.shape[0] * rgb.shape[1]
    for row in np.argsort(-stack.sum(axis=(1, 2)), kind="stable"):
        contours, _ = cv2.findContours(stack[row].astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        large = [contour for contour in contours if cv2.contourArea(contour) >= least]
        cv2.drawContours(drawn, large or contours, -1, color_of(indices[row]), thickness)
    return drawn
