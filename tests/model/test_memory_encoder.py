import torch

from sam2nb.model.memory_encoder import Fuser, MaskDownsampler, MemoryEncoder
from tests.reference import scramble


@torch.no_grad()
def test_a_memory_has_the_grid_of_the_features_and_its_own_width():
    encoder = MemoryEncoder(width=32, out_dim=8)
    assert encoder(torch.randn(1, 32, 4, 6), torch.randn(3, 1, 64, 96)).shape == (3, 8, 4, 6)


def test_the_mask_is_halved_four_times_with_four_times_the_channels_each():
    convolutions = [layer for layer in MaskDownsampler(32).encoder if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [4, 16, 64, 256, 32]
    assert [layer.stride for layer in convolutions] == [(2, 2)] * 4 + [(1, 1)]


@torch.no_grad()
def test_mask_and_features_both_matter_and_only_nearby():
    encoder = MemoryEncoder(width=16, out_dim=8)
    scramble(encoder)
    features, mask = torch.randn(1, 16, 32, 32), torch.zeros(1, 1, 512, 512)
    before = encoder(features, mask)
    mask[..., :16, :16] = 10
    changed = (encoder(features, mask) - before).abs().amax(dim=1)[0] > 1e-5
    assert changed[0, 0] and not changed[16:, 16:].any()
    assert not torch.allclose(encoder(features + 1, mask), encoder(features, mask), atol=1e-3)


@torch.no_grad()
def test_a_fresh_fuser_is_nearly_the_identity():
    grid = torch.randn(1, 16, 8, 8)
    assert torch.allclose(Fuser(16, 2)(grid), grid, atol=1e-4)
