import torch

from sam2nb.fast.decoder import upscale, upscale_2x
from sam2nb.model.mask_decoder import MaskDecoder


@torch.no_grad()
def test_upscaling_by_a_linear_layer_is_the_transposed_convolution():
    conv = torch.nn.ConvTranspose2d(6, 5, kernel_size=2, stride=2)
    grid = torch.randn(2, 6, 3, 4)
    torch.testing.assert_close(upscale_2x(grid, conv), conv(grid))


@torch.no_grad()
def test_fast_upscaling_equals_the_textbook():
    decoder = MaskDecoder(width=32)
    image, high_res = torch.randn(2, 32, 3, 4), (torch.randn(2, 4, 12, 16), torch.randn(2, 8, 6, 8))
    torch.testing.assert_close(upscale(decoder, image, high_res), decoder.upscale(image, high_res))
