"""The sliders for everything mode: they filter existing records and redraw the image."""

from __future__ import annotations

import numpy as np
import pytest

from sam2nb.masks.rle import rle_from_mask
from sam2nb.predict.everything.records import record_of_mask
from sam2nb.widgets.thresholds import ThresholdExplorer

IMAGE = np.full((60, 80, 3), 90, np.uint8)


@pytest.fixture
def records():
    """Three separate squares with predicted IoUs of 0.3, 0.6 and 0.9, all of them stable."""
    made = []
    for number, iou in enumerate((0.3, 0.6, 0.9)):
        mask = np.zeros(IMAGE.shape[:2], bool)
        mask[10:20, 10 + 20 * number : 20 + 20 * number] = True
        made.append(record_of_mask(rle_from_mask(mask), predicted_iou=iou, stability_score=1.0))
    return made


def test_a_slider_filters_the_records_and_redraws_the_image(records):
    explorer = ThresholdExplorer(IMAGE, records, pred_iou_thresh=0.5)
    assert [record["predicted_iou"] for record in explorer.kept] == [0.9, 0.6]
    before = explorer._picture.value
    explorer.sliders["pred_iou_thresh"].value = 0.8
    assert [record["predicted_iou"] for record in explorer.kept] == [0.9]
    assert explorer._picture.value != before and explorer._count.value == "1 of 3 masks"
    painted = (explorer.drawn != IMAGE).any(axis=2)
    assert painted[15, 55] and not painted[15, 15]


def test_the_sliders_start_at_the_thresholds_of_filter_records(records):
    explorer = ThresholdExplorer(IMAGE, records)
    assert explorer.thresholds == {"pred_iou_thresh": 0.8, "stability_score_thresh": 0.95, "box_nms_thresh": 0.7}


def test_a_static_picture_is_stored_beside_the_live_view(records):
    data, _ = ThresholdExplorer(IMAGE, records)._repr_mimebundle_()
    assert {"image/jpeg", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert data["text/plain"] == "ThresholdExplorer: 1 of 3 masks"


def test_an_unknown_threshold_is_rejected(records):
    with pytest.raises(ValueError, match="thresholds must be some of .*, got iou"):
        ThresholdExplorer(IMAGE, records, iou=0.5)
