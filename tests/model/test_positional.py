import math

import torch

from sam2nb.model.positional import RandomFourier, SineEncoding, axial_rope, rotate, time_encoding


def test_the_sine_encoding_counts_from_one_with_y_first_and_sines_and_cosines_interleaved():
    code = SineEncoding(8)(torch.empty(1, 1, 3, 5))[0]
    assert code.shape == (8, 3, 5)
    y = 2 / (3 + 1e-6) * 2 * math.pi  # second row
    x = 4 / (5 + 1e-6) * 2 * math.pi  # fourth column
    slow = 10_000 ** (2 / 4)
    expected = [f(v / w) for v in (y, x) for w in (1, slow) for f in (math.sin, math.cos)]
    assert torch.allclose(code[:, 1, 3], torch.tensor(expected), atol=1e-5)


def test_the_time_encoding_is_all_sines_then_all_cosines():
    code = time_encoding(torch.tensor([0.0, 0.5]), 4)
    assert torch.equal(code[0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert torch.allclose(code[1], torch.tensor([math.sin(0.5)] * 2 + [math.cos(0.5)] * 2))


def test_the_fourier_grid_holds_the_encoding_of_every_cell_centre():
    fourier = RandomFourier(16)
    grid = fourier((4, 6))
    assert grid.shape == (1, 16, 4, 6)
    assert torch.allclose(grid[0, :, 1, 2], fourier.encode(torch.tensor([2.5 / 6, 1.5 / 4])), atol=1e-6)


def test_rotary_attention_depends_on_distances_only():
    rotation = axial_rope(8, (5, 5))
    q, k = torch.randn(8), torch.randn(8)
    rotated_q, rotated_k = rotate(q.expand(25, 8), rotation), rotate(k.expand(25, 8), rotation)
    products = (rotated_q @ rotated_k.T).view(5, 5, 5, 5)
    assert torch.allclose(products[0, 0, 1, 2], products[2, 1, 3, 3], atol=1e-5)
    assert torch.allclose(products[1, 3, 1, 1], products[4, 2, 4, 0], atol=1e-5)
    assert not torch.allclose(products[0, 0, 1, 2], products[0, 0, 2, 1], atol=1e-5)  # x and y differ


def test_the_first_half_of_the_pairs_rotates_with_x_and_the_second_with_y():
    rotation = axial_rope(8, (3, 4))
    assert rotation.shape == (12, 4)
    assert torch.equal(rotation[4, :2], rotation[0, :2])  # one row down: the first half does not change
    assert torch.equal(rotation[1, 2:], rotation[0, 2:])  # one column right: the second half
    assert torch.allclose(rotation[3, 0], torch.polar(torch.tensor(1.0), torch.tensor(3.0)))
