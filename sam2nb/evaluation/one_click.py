"""One click per object: the masks of a set of images, and their IoUs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sam2nb.evaluation.metrics import mask_iou, next_click
from sam2nb.evaluation.samples import LabelledImages
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.image import SAM2ImagePredictor


def one_click(model: SAM2, data: LabelledImages) -> tuple[list[NDArray[np.bool_]], NDArray[np.float64]]:
    """Click in the middle of every object and take one mask each.

    -> the masks of each image, (N, H, W) bool, and the IoU of every object in the order of the images
    """
    predictor, masks, ious = SAM2ImagePredictor(model), [], []
    for sample in data:
        predictor.set_image(sample.image)
        clicks = [next_click(None, truth) for truth in sample.masks]
        points = [[(click.x, click.y)] for click in clicks]
        result = predictor.predict(points, [[1]] * len(points), multimask_output=False)
        found = result.masks.reshape(-1, *sample.image.shape[:2])
        masks.append(found)
        ious += [mask_iou(one, truth) for one, truth in zip(found, sample.masks, strict=True)]
    return masks, np.array(ious)
