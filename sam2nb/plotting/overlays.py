"""Masks laid over axes that show an image already, by the function names of Meta's notebooks.

    plt.imshow(image)
    show_anns(masks)                    # the records of everything mode
    show_mask(mask, plt.gca())          # a mask of an image predictor, or of one object of a video with obj_id=2
    show_points(points, labels, plt.gca())
    show_box(box, plt.gca())

`show_masks` and `show_image` draw the image as well, and need no axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from sam2nb.plotting.draw import MASK_OPACITY, color_of, to_array
from sam2nb.plotting.figures import show_boxes

OUTLINE = (1.0, 1.0, 1.0, 0.8)  # red, green, blue, opacity, 0..1
show_box = show_boxes


def show_anns(anns: Sequence[dict[str, Any]], borders: bool = True, ax: Axes | None = None) -> Axes:
    """Lay the masks of everything mode over the current axes, large ones first. Returns the axes.

    anns: records with a boolean `segmentation` (H, W). borders: draw outlines.
    Raises TypeError for run lengths, which are not drawn.
    """
    ax = plt.gca() if ax is None else ax
    masks = [ann["segmentation"] for ann in anns]
    if any(isinstance(mask, dict) for mask in masks):
        raise TypeError('anns hold run lengths: generate them with output_mode="binary_mask", the default')
    order = sorted(range(len(masks)), key=lambda index: -np.count_nonzero(masks[index]))
    return _lay_over(ax, [to_array(masks[index]) for index in order], [_unit_color(index) for index in order], borders)


def show_mask(
    mask: Any, ax: Axes | None = None, obj_id: int | None = None, random_color: bool = False, borders: bool = True
) -> Axes:
    """Lay one mask over axes. Returns the axes.

    mask: (H, W) or (1, H, W), bool or logits (positive = inside). obj_id: the object, which chooses the colour.
    random_color: take a colour from numpy's global random numbers instead. borders: draw the outline.
    """
    ax = plt.gca() if ax is None else ax
    array = to_array(mask)
    if array.squeeze().ndim != 2:
        raise ValueError(f"mask must be (H, W) or (1, H, W), got shape {array.shape}")
    color = tuple(np.random.random(3)) if random_color else _unit_color(obj_id or 0)
    return _lay_over(ax, [array.reshape(array.shape[-2:])], [color], borders)


def _unit_color(index: int) -> tuple[float, float, float]:
    red, green, blue = color_of(index)
    return red / 255, green / 255, blue / 255


def _lay_over(ax: Axes, masks: Sequence[np.ndarray], colors: Sequence[Sequence[float]], borders: bool) -> Axes:
    if not masks:
        return ax
    layer = np.zeros((*masks[0].shape, 4), np.float32)
    for mask, color in zip(masks, colors, strict=True):
        inside = mask > 0
        layer[inside] = (*color, MASK_OPACITY)
        if borders:
            outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(layer, outlines, -1, OUTLINE, thickness=1)
    ax.set_autoscale_on(False)
    ax.imshow(layer)
    return ax
