import torch

from sam2nb.fast.positions import axial_rope, cached_grid, cached_sine
from sam2nb.model import positional
from sam2nb.model.positional import RandomFourier, SineEncoding

CPU = torch.device("cpu")


def test_kept_encodings_equal_the_textbook():
    grid = torch.empty(2, 1, 3, 5)
    assert torch.equal(cached_sine(SineEncoding(8), grid), SineEncoding(8)(grid))
    assert torch.equal(axial_rope(8, (3, 5), CPU), positional.axial_rope(8, (3, 5)))
    fourier = RandomFourier(8)
    assert torch.equal(cached_grid(fourier, (3, 5)), fourier((3, 5)))


def test_the_fourier_grid_is_kept_until_the_frequencies_change():
    fourier = RandomFourier(16)
    grid = cached_grid(fourier, (4, 6))
    assert cached_grid(fourier, (4, 6)) is grid
    with torch.no_grad():
        fourier.positional_encoding_gaussian_matrix.mul_(2)  # other weights, as after loading a checkpoint
    assert torch.equal(cached_grid(fourier, (4, 6)), fourier((4, 6)))
    assert not torch.equal(cached_grid(fourier, (4, 6)), grid)


def test_encodings_first_asked_for_under_inference_mode_can_be_trained_with():
    with torch.inference_mode():
        kept = [cached_sine(SineEncoding(12), torch.empty(1, 1, 2, 2)), axial_rope(12, (2, 2), CPU)]
    fourier = RandomFourier(8)
    with torch.inference_mode():
        kept.append(cached_grid(fourier, (2, 2)))
    assert not any(encoding.is_inference() for encoding in kept)


def test_frequencies_made_under_inference_mode_are_encoded_anew_every_time():
    with torch.inference_mode():
        fourier = RandomFourier(8)
        before = cached_grid(fourier, (2, 2))
        fourier.positional_encoding_gaussian_matrix.mul_(2)
        assert not torch.equal(cached_grid(fourier, (2, 2)), before)
