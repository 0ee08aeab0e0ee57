"""One click per object."""

from __future__ import annotations

import numpy as np

from sam2nb.evaluation.one_click import one_click
from sam2nb.training.recipes.toy import cells


def test_every_object_of_every_image_gets_a_mask_and_an_iou(random_model):
    data = cells(2, seed=0)
    masks, ious = one_click(random_model, data)
    counts = [len(sample.masks) for sample in data]
    assert [len(found) for found in masks] == counts and len(ious) == sum(counts)
    assert masks[0].dtype == bool and masks[0].shape[1:] == (256, 256)
    assert ((ious >= 0) & (ious <= 1)).all()
    again = one_click(random_model, data)[1]
    assert np.array_equal(ious, again)
