"""Upsampling in strips against torch's bilinear interpolation of whole masks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sam2nb.masks.measure import mask_boxes, stability_score
from sam2nb.predict.everything import upsample
from sam2nb.predict.everything.strips import OnGpu
from sam2nb.predict.everything.upsample import upsample_masks
from tests.mask_cases import smooth_logits


@pytest.mark.parametrize("size_hw", [(150, 225), (40, 33), (64, 64), (1, 1), (1, 90), (77, 2), (64, 400)])
def test_upsampled_masks_equal_those_of_torch(size_hw):
    logits = smooth_logits(12)
    ours = upsample_masks(logits, size_hw, threshold=0.0, offset=1.0, pixels_at_once=5000)
    full = F.interpolate(logits[:, None], size_hw, mode="bilinear", align_corners=False)[:, 0]
    for rle, expected in zip(ours.rles, full > 0, strict=True):
        assert np.array_equal(rle.to_mask(), expected.numpy())
    assert torch.equal(ours.boxes, mask_boxes(full > 0))
    assert torch.allclose(ours.stability, stability_score(full), atol=1e-4)


@pytest.mark.parametrize("pixels", [1, 700, 40_000, 10**7])
@pytest.mark.parametrize("size_hw", [(150, 225), (30, 20)])
def test_the_size_of_a_strip_changes_no_bit(pixels, size_hw):
    logits = smooth_logits(9)
    settings = {"threshold": 0.3, "offset": 0.8}
    whole = upsample_masks(logits, size_hw, pixels_at_once=10**9, **settings)
    strips = upsample_masks(logits, size_hw, pixels_at_once=pixels, **settings)
    assert torch.equal(whole.stability, strips.stability) and torch.equal(whole.boxes, strips.boxes)
    assert [rle.to_dict() for rle in whole.rles] == [rle.to_dict() for rle in strips.rles]


def test_no_masks_give_no_masks():
    none = upsample_masks(torch.zeros(0, 64, 64), (50, 60), threshold=0.0, offset=1.0, pixels_at_once=1000)
    assert none.rles == () and none.boxes.shape == (0, 4) and none.stability.shape == (0,)


def test_the_operations_of_a_gpu_give_the_same_masks(monkeypatch):
    logits, size_hw = smooth_logits(8), (150, 225)
    settings = {"threshold": 0.0, "offset": 1.0, "pixels_at_once": 50_000}
    on_cpu = upsample_masks(logits, size_hw, **settings)
    monkeypatch.setattr(upsample, "strip_operations", lambda device: OnGpu())
    as_on_gpu = upsample_masks(logits, size_hw, **settings)
    for one, other in zip(on_cpu.rles, as_on_gpu.rles, strict=True):
        assert np.array_equal(one.to_mask(), other.to_mask())
    assert torch.allclose(on_cpu.stability, as_on_gpu.stability, atol=1e-4)
    assert torch.equal(on_cpu.boxes, as_on_gpu.boxes)
