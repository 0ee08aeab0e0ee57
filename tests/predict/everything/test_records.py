"""Records: filtering, looking up pixels, label maps."""

import numpy as np
import pytest

from sam2nb import SAM2AutomaticMaskGenerator
from sam2nb.predict.everything.records import filter_records, label_map, record_at
from tests.mask_cases import rectangle, same_records


def test_filtering_open_records_equals_generating_with_those_thresholds(random_model, noise, open_records):
    scores = sorted(r["predicted_iou"] for r in open_records)
    stabilities = sorted(r["stability_score"] for r in open_records)
    limits = {
        "pred_iou_thresh": scores[len(scores) // 4],
        "stability_score_thresh": stabilities[len(stabilities) // 3],
        "box_nms_thresh": 0.6,
    }
    expected = SAM2AutomaticMaskGenerator(random_model, 4, output_mode="coco_rle", **limits).generate(noise)
    assert 0 < len(expected) < len(open_records)
    assert same_records(filter_records(open_records, **limits), expected)


def test_the_smallest_mask_under_a_pixel_is_found():
    records = [{"segmentation": rectangle((20, 30), 0, 0, 30, 20)}, {"segmentation": rectangle((20, 30), 5, 5, 9, 9)}]
    assert record_at(records, (6, 6)) == 1 and record_at(records, (20, 10)) == 0 and record_at([], (0, 0)) is None
    with pytest.raises(ValueError, match="xy must be inside the image"):
        record_at(records, (30, 0))


def test_label_maps_number_the_records_with_small_masks_on_top():
    records = [{"segmentation": rectangle((20, 30), 5, 5, 9, 9)}, {"segmentation": rectangle((20, 30), 0, 0, 30, 10)}]
    labels = label_map(records, (20, 30))
    assert labels[6, 6] == 1 and labels[0, 0] == 2 and labels[15, 15] == 0 and labels.dtype == np.uint8


def test_a_label_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="the image has"):
        label_map([{"segmentation": rectangle((20, 30), 4, 4, 5, 5)}], (30, 20))


def test_no_records_can_be_filtered_and_drawn():
    assert filter_records([]) == [] and label_map([], (4, 5)).shape == (4, 5)
