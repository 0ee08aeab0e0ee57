"""Colours of masks that stay apart: from what they cover, and from their neighbours.

    show_masks(image, masks, colors=choose_colors(image, masks))

A mask in blue on an orange suit is grey, and two light blues side by side look like one object. So each mask gets the
entry of the palette whose mixture with the image is most colourful and most unlike the image and the colours around.
Where the palette has enough entries, all masks differ.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from sam2nb.plotting.draw import MASK_OPACITY, PALETTE, as_masks, as_rgb, color_of

LONGEST = 512  # pixels: larger label maps are thinned out first
NOWHERE = (128.0, 128.0, 128.0)  # what a mask covers that has no pixel left


def choose_colors(image: Any, masks: Any) -> list[int]:
    """One index into the palette per mask, for `colors` of the functions that show masks.

    image, masks: as in draw_masks. Masks that face each other count as neighbours, with or without a gap.
    """
    rgb = as_rgb(image)
    stack = as_masks(masks, rgb.shape[:2])
    labels = np.zeros(rgb.shape[:2], np.int32)
    for row in np.argsort(-stack.sum(axis=(1, 2)), kind="stable"):  # small masks on top, as they are painted
        labels[stack[row]] = row + 1
    return colors_of_labels(rgb, labels, len(stack))


def colors_of_labels(rgb: np.ndarray, labels: np.ndarray, count: int) -> list[int]:
    """One index into the palette for each of the labels 1 to `count` of a label map.

    rgb: (H, W, 3) uint8. labels: (H, W) whole numbers, 0 for background.
    """
    step = -(-max(labels.shape) // LONGEST)
    rgb, labels = rgb[::step, ::step], labels[::step, ::step].astype(np.int32)
    covered = _mean_colors(rgb, labels, count)
    few = count <= len(PALETTE)  # then each gets a colour of its own
    neighbours = [set(range(count)) - {row} for row in range(count)] if few else _neighbours(labels, count)
    chosen: dict[int, int] = {}
    for row in _smallest_last(neighbours):
        taken = [chosen[other] for other in neighbours[row] if other in chosen]
        clearness = [_clearness(index, covered[row], taken) for index in range(len(PALETTE))]
        chosen[row] = int(np.argmax(clearness))
    return [chosen[row] for row in range(count)]


def _mean_colors(rgb: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The mean colour under each label: (count, 3)"""
    flat = labels.reshape(-1)
    pixels = np.bincount(flat, minlength=count + 1)[1:]
    sums = [np.bincount(flat, rgb[..., channel].reshape(-1), minlength=count + 1)[1:] for channel in range(3)]
    means = np.stack(sums, axis=1) / np.maximum(pixels, 1)[:, None]
    return np.where(pixels[:, None] > 0, means, NOWHERE)


def _neighbours(labels: np.ndarray, count: int) -> list[set[int]]:
    """For each label less one, those of the labels that meet it if all grow until the image is full."""
    neighbours: list[set[int]] = [set() for _ in range(count)]
    if not labels.any():
        return neighbours
    inside = labels > 0
    _, nearest = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of = np.zeros(nearest.max() + 1, np.int32)
    label_of[nearest[inside]] = labels[inside]
    grown = label_of[nearest]
    for one, other in ((grown[:, 1:], grown[:, :-1]), (grown[1:], grown[:-1])):
        differ = one != other
        for first, second in np.unique(np.stack((one[differ], other[differ]), axis=1), axis=0):
            neighbours[first - 1].add(int(second) - 1)
            neighbours[second - 1].add(int(first) - 1)
    return neighbours


def _smallest_last(neighbours: list[set[int]]) -> list[int]:
    """An order in which every label meets few earlier ones: on a plane at most five, so that colours suffice."""
    left = {row: set(others) for row, others in enumerate(neighbours)}
    order = []
    while left:
        row = min(left, key=lambda candidate: (len(left[candidate]), candidate))
        for other in left.pop(row):
            left[other].discard(row)
        order.append(row)
    return order[::-1]


def _clearness(index: int, covered: np.ndarray, taken: list[int]) -> float:
    """How clearly palette entry `index` shows, as the least of its distances in CIE Lab."""
    mixed = _lab(MASK_OPACITY * np.array(color_of(index)) + (1 - MASK_OPACITY) * covered)
    distances = [float(np.linalg.norm(mixed - _lab(covered))), float(np.linalg.norm(mixed[1:]))]
    distances += [float(np.linalg.norm(_lab(color_of(index)) - _lab(color_of(other)))) for other in taken]
    return min(distances)


def _lab(rgb: Any) -> np.ndarray:
    return cv2.cvtColor(np.float32(rgb).reshape(1, 1, 3) / 255, cv2.COLOR_RGB2LAB)[0, 0]
