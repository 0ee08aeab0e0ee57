import math

import torch

from sam2nb.model.positional import RandomFourier, axial_rope, rotate, sine_code, time_code

CPU = torch.device("cpu")


def test_sine_code_is_one_based_y_first_and_interleaved():
    code = sine_code(8, (3, 5), CPU)[0]
    assert code.shape == (8, 3, 5)
    y = 2 / (3 + 1e-6) * 2 * math.pi  # second row
    x = 4 / (5 + 1e-6) * 2 * math.pi  # fourth column
    slow = 10_000 ** (2 / 4)
    expected = [f(v / w) for v in (y, x) for w in (1, slow) for f in (math.sin, math.cos)]
    assert torch.allclose(code[:, 1, 3], torch.tensor(expected), atol=1e-5)


def test_time_code_is_all_sines_then_all_cosines():
    code = time_code(torch.tensor([0.0, 0.5]), 4)
    assert torch.equal(code[0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert torch.allclose(code[1], torch.tensor([math.sin(0.5)] * 2 + [math.cos(0.5)] * 2))


def test_the_fourier_grid_is_the_code_of_cell_centres_and_is_kept():
    fourier = RandomFourier(16)
    grid = fourier.grid((4, 6))
    assert torch.allclose(grid[0, :, 1, 2], fourier(torch.tensor([2.5 / 6, 1.5 / 4])), atol=1e-6)
    assert fourier.grid((4, 6)) is grid
    with torch.no_grad():
        fourier.positional_encoding_gaussian_matrix.mul_(2)  # other weights, as after loading a checkpoint
    assert not torch.equal(fourier.grid((4, 6)), grid)


def test_constants_made_under_inference_mode_can_be_trained_with():
    sine_code.cache_clear()
    axial_rope.cache_clear()
    fourier = RandomFourier(8)
    with torch.inference_mode():
        constants = [sine_code(8, (2, 2), CPU), axial_rope(8, (2, 2), CPU), fourier.grid((2, 2))]
    for constant in constants:
        assert not constant.is_inference()


def test_rotary_attention_knows_distances_only():
    turn = axial_rope(8, (5, 5), CPU)
    q, k = torch.randn(8), torch.randn(8)
    turned_q, turned_k = rotate(q.expand(25, 8), turn), rotate(k.expand(25, 8), turn)
    products = (turned_q @ turned_k.T).view(5, 5, 5, 5)
    assert torch.allclose(products[0, 0, 1, 2], products[2, 1, 3, 3], atol=1e-5)
    assert torch.allclose(products[1, 3, 1, 1], products[4, 2, 4, 0], atol=1e-5)
    assert not torch.allclose(products[0, 0, 1, 2], products[0, 0, 2, 1], atol=1e-5)  # x and y differ


def test_rotary_code_turns_x_in_the_first_half_and_y_in_the_second():
    turn = axial_rope(8, (3, 4), CPU)
    assert turn.shape == (12, 4)
    assert torch.equal(turn[4, :2], turn[0, :2])  # one row down: the first half stands still
    assert torch.equal(turn[1, 2:], turn[0, 2:])  # one column right: the second half
    assert torch.allclose(turn[3, 0], torch.polar(torch.tensor(1.0), torch.tensor(3.0)))
