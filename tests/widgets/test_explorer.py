"""The Python side of the mask explorer: runs for the browser, thresholds and a selection back."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from sam2nb.masks.rle import rle_from_mask
from sam2nb.predict.everything.records import record_of_mask
from sam2nb.widgets.explorer import MaskExplorer, pack_runs

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


def unpack(first, starts, lengths, size_hw):
    masks = np.zeros((len(first) - 1, size_hw[0] * size_hw[1]), bool)
    for row, mask in enumerate(masks):
        for run in range(first[row], first[row + 1]):
            mask[starts[run] : starts[run] + lengths[run]] = True
    return masks.reshape(-1, *size_hw)


@given(arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=60, deadline=None)
def test_runs_hold_the_masks(masks):
    packed = pack_runs([rle_from_mask(mask) for mask in masks], masks.shape[1:])
    assert (unpack(*packed, masks.shape[1:]) == masks).all()


def test_a_mask_that_is_shown_smaller_keeps_its_place_and_at_least_one_pixel():
    masks = np.zeros((2, 60, 80), bool)
    masks[0, 20:40, 40:80], masks[1, 59, 79] = True, True
    shown = unpack(*pack_runs([rle_from_mask(mask) for mask in masks], (15, 20)), (15, 20))
    expected = np.zeros((15, 20), bool)
    expected[5:10, 10:20] = True
    assert (shown[0] == expected).all() and shown[1].sum() == 1 and shown[1, 14, 19]


def test_a_threshold_from_the_browser_filters_the_records(records):
    explorer = MaskExplorer(IMAGE, records, pred_iou_thresh=0.5)
    assert [record["predicted_iou"] for record in explorer.kept] == [0.9, 0.6]
    explorer.set_state({"thresholds": {**explorer.thresholds, "pred_iou_thresh": 0.8}})
    assert [record["predicted_iou"] for record in explorer.kept] == [0.9]
    painted = (explorer.drawn != IMAGE).any(axis=2)
    assert painted[15, 55] and not painted[15, 15]


def test_the_sliders_start_at_the_thresholds_of_filter_records(records):
    expected = {"pred_iou_thresh": 0.8, "stability_score_thresh": 0.95, "box_nms_thresh": 0.7, "min_area": 0}
    assert MaskExplorer(IMAGE, records).thresholds == expected


def test_the_selection_is_exported_and_without_one_all_that_pass(records):
    explorer = MaskExplorer(IMAGE, records)
    sent = []
    explorer.send = lambda content, buffers=None: sent.append((content, buffers))
    explorer.set_state({"chosen": [0, 1]})
    assert explorer.selected == records[:2]
    explorer._handle_custom_msg({"kind": "export", "format": "coco", "request": "r1"}, [])
    explorer._handle_custom_msg({"kind": "export", "format": "png", "request": "r2"}, [])
    explorer.set_state({"chosen": []})
    explorer._handle_custom_msg({"kind": "export", "format": "coco", "request": "r3"}, [])
    counts = [len(json.loads(sent[index][1][0])["annotations"]) for index in (0, 2)]
    assert counts == [2, 1] and [content["request"] for content, _ in sent] == ["r1", "r2", "r3"]
    assert Image.open(io.BytesIO(sent[1][1][0])).size == (30, 10)


def test_nothing_to_cut_out_is_one_line(records):
    explorer = MaskExplorer(IMAGE, records, pred_iou_thresh=1.0)
    sent = []
    explorer.send = lambda content, buffers=None: sent.append(content)
    explorer._handle_custom_msg({"kind": "export", "format": "png", "request": "r1"}, [])
    assert sent == [{"problem": "ValueError: there is no mask to cut out", "kind": "export", "request": "r1"}]


def test_a_static_picture_is_stored_beside_the_live_view(records):
    data, _ = MaskExplorer(IMAGE, records)._repr_mimebundle_()
    assert {"image/jpeg", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert data["text/plain"] == "MaskExplorer: 1 of 3 masks"


def test_an_unknown_threshold_is_rejected(records):
    with pytest.raises(ValueError, match="thresholds must be some of .*, got iou"):
        MaskExplorer(IMAGE, records, iou=0.5)


def test_no_masks_and_an_empty_mask_can_be_shown(records):
    empty = record_of_mask(rle_from_mask(np.zeros((60, 80), bool)), predicted_iou=1.0, stability_score=1.0)
    assert MaskExplorer(IMAGE, []).kept == [] and len(MaskExplorer(IMAGE, [*records, empty]).records) == 4
