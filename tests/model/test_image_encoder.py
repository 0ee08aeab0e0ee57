import pytest
import torch

from sam2nb.build import build_sam2


@pytest.fixture(scope="module")
def tiny():
    return build_sam2("sam2.1_hiera_t", device="cpu", fast=False).image_encoder


@torch.no_grad()
def test_the_neck_brings_every_stage_to_256_channels_and_the_coarsest_is_dropped(tiny):
    levels = tiny(torch.randn(1, 3, 224, 224))
    assert [tuple(level.shape[1:]) for level in levels] == [(256, 56, 56), (256, 28, 28), (256, 14, 14)]


@torch.no_grad()
def test_only_the_two_coarsest_levels_are_fused(tiny):
    maps = [torch.randn(1, c, 32 >> i, 32 >> i) for i, c in enumerate((96, 192, 384, 768))]
    before = tiny.neck(maps)
    maps[3] = maps[3] + 1
    changed = [not torch.equal(a, b) for a, b in zip(before, tiny.neck(maps), strict=True)]
    assert changed == [False, False, True, True]
