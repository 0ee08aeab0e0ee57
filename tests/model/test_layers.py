import pytest
import torch

from sam2nb.model.layers import MLP, LayerNorm2d, to_map, to_tokens, window_partition, window_unpartition


def test_maps_and_tokens_are_inverse():
    grid = torch.randn(2, 3, 4, 5)
    tokens = to_tokens(grid)
    assert tokens.shape == (2, 20, 3)
    assert torch.equal(tokens[1, 7], grid[1, :, 1, 2])  # row by row
    assert torch.equal(to_map(tokens, (4, 5)), grid)


@pytest.mark.parametrize("size_hw", [(8, 8), (7, 9), (3, 3), (64, 64)])
@pytest.mark.parametrize("window", [4, 7, 14])
def test_windows_can_be_put_back(size_hw, window):
    grid = torch.randn(2, *size_hw, 3)
    windows = window_partition(grid, window)
    assert windows.shape[1:] == (window, window, 3)
    assert torch.equal(window_unpartition(windows, size_hw), grid)


def test_window_padding_is_zeros_at_the_right_and_bottom():
    windows = window_partition(torch.ones(1, 64, 64, 1), 14)  # 64 pads to 70
    assert len(windows) == 25
    assert windows[0].all() and not windows[24, 8:].any() and not windows[24, :, 8:].any() and windows[24, :8, :8].all()


def test_layer_norm_2d_is_layer_norm_over_channels():
    norm = LayerNorm2d(6)
    grid = torch.randn(2, 6, 3, 4) * 5 + 2
    out = norm(grid)
    assert torch.allclose(out.mean(dim=1), torch.zeros(2, 3, 4), atol=1e-5)
    assert torch.allclose(out.std(dim=1, correction=0), torch.ones(2, 3, 4), atol=1e-3)


def test_layer_norm_2d_adds_a_millionth_to_the_variance():
    grid = torch.tensor([1e-3, -1e-3]).view(1, 2, 1, 1)  # variance 1e-6
    assert torch.allclose(LayerNorm2d(2)(grid).flatten(), torch.tensor([0.5**0.5, -(0.5**0.5)]))


def test_mlp_has_no_activation_behind_its_last_layer():
    mlp = MLP(4, 8, 2)
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(8, 4), (2, 8)]
    assert (mlp(torch.randn(100, 4)) < 0).any()


def test_an_mlp_may_end_in_a_function_of_its_own():
    mlp = MLP(4, 8, 2, output=torch.sigmoid)
    scores = mlp(torch.randn(100, 4) * 100)
    assert scores.min() >= 0 and scores.max() <= 1
