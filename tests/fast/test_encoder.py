import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.fast.encoder import convolve_1x1, encode_image
from tests.reference import scramble


@torch.no_grad()
def test_two_convolutions_folded_into_one_equal_both_in_a_row():
    first, second = torch.nn.Conv2d(3, 8, kernel_size=1), torch.nn.Conv2d(8, 2, kernel_size=1)
    grid = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(convolve_1x1(grid, first, None), first(grid))
    torch.testing.assert_close(convolve_1x1(grid, first, second), second(first(grid)))


@pytest.mark.parametrize("name", ["sam2.1_hiera_t", "sam2nb_nano"])
@torch.no_grad()
def test_the_folded_neck_equals_the_textbook(name):
    model = build_sam2(name, device="cpu", hydra_overrides_extra=["++model.image_size=128"], fast=False)
    scramble(model)
    pixels = torch.randn(2, 3, 128, 128)
    fast, plain = encode_image(model, pixels), model.encode_image(pixels)
    torch.testing.assert_close(fast.embedding, plain.embedding, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(fast.high_res, plain.high_res, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
