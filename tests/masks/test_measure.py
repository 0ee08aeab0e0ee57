"""Boxes and stability against the official package."""

import torch

from sam2nb.masks.measure import iou, mask_boxes, pairwise_iou, pairwise_rle_iou, stability_score
from sam2nb.masks.rle import rle_from_mask
from tests.mask_cases import smooth_logits


def test_boxes_equal_the_official_ones_for_batches_and_empty_masks(amg):
    masks = torch.rand(3, 4, 9, 7) > 0.9
    masks[0, 0] = False
    assert torch.equal(mask_boxes(masks), amg.batched_mask_to_box(masks))
    assert mask_boxes(torch.zeros(0, 5, 5, dtype=torch.bool)).shape == (0, 4)


def test_stability_is_the_inner_area_over_the_outer_area():
    logits = torch.full((10, 10), -5.0)
    logits[:4] = 0.5
    logits[:2] = 5.0
    assert stability_score(logits) == 0.5


def test_stability_equals_the_official_one_and_is_zero_where_that_divides_by_zero(amg):
    logits = smooth_logits(6)
    logits[0] = -50.0
    ours, official = stability_score(logits, 0.2, 0.7), amg.calculate_stability_score(logits, 0.2, 0.7)
    assert torch.equal(ours[1:], official[1:])
    assert official[0].isnan() and ours[0] == 0


def test_intersection_over_union_of_empty_masks_is_zero():
    masks = torch.tensor([[[[1, 1, 0, 0]], [[0, 0, 0, 0]]]]).bool()
    assert iou(masks, torch.tensor([[[[1, 0, 0, 0]]]]).bool()).tolist() == [[0.5, 0]]


def test_pairwise_iou_of_masks_and_of_run_lengths_is_that_of_every_pair():
    masks, others = torch.rand(5, 9, 7) > 0.5, torch.rand(3, 9, 7) > 0.3
    masks[0], others[0] = False, False
    expected = iou(masks[:, None], others[None])
    rles, other_rles = ([rle_from_mask(mask.numpy()) for mask in group] for group in (masks, others))
    assert torch.allclose(pairwise_iou(masks, others), expected) and expected[0, 0] == 0
    assert torch.allclose(torch.from_numpy(pairwise_rle_iou(rles, other_rles)).float(), expected)
    assert pairwise_iou(masks[:0], others).shape == pairwise_rle_iou([], other_rles).shape == (0, 3)
    assert pairwise_rle_iou(rles, []).shape == (5, 0)
