"""Encoded images on disk: saved and loaded by the image predictor."""

import numpy as np
import pytest
import torch

from sam2nb import SAM2ImagePredictor, build_sam2

POINTS = [[10, 20]], [1]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def model(request):
    torch.manual_seed(0)
    model = build_sam2("sam2.1_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=128"])
    model.compute_dtype = getattr(torch, request.param)
    return model


def equal(left, right) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_a_loaded_image_gives_the_same_masks_without_being_encoded(model, noise, tmp_path, monkeypatch):
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(noise)
    expected = predictor.predict(*POINTS, return_logits=True)
    path = predictor.save(tmp_path / "noise.safetensors")
    other = SAM2ImagePredictor(model)
    monkeypatch.setattr(model, "encode_image", None)
    other.load(path)
    assert equal(other.predict(*POINTS, return_logits=True), expected)
    assert other.original_sizes == [noise.shape[:2]]
    assert torch.equal(other.get_image_embedding(), predictor.get_image_embedding())
    left, right = predictor.images[0].features, other.images[0].features
    for one, two in zip((left.position, *left.high_res), (right.position, *right.high_res), strict=True):
        assert torch.equal(one, two) and one.stride() == two.stride() and one.dtype == two.dtype


def test_a_batch_of_images_comes_back_in_order(model, noise, tmp_path):
    predictor = SAM2ImagePredictor(model)
    predictor.set_image_batch([noise, noise[:40, :50]])
    before = predictor.get_image_embedding()
    predictor.save(tmp_path / "two.safetensors")
    predictor.reset_predictor()
    predictor.load(tmp_path / "two.safetensors")
    assert torch.equal(predictor.get_image_embedding(), before)
    assert predictor.original_sizes == [(90, 140), (40, 50)]


def test_without_an_image_there_is_nothing_to_save_and_a_failed_load_changes_nothing(model, noise, tmp_path):
    predictor = SAM2ImagePredictor(model)
    with pytest.raises(RuntimeError, match="no image is set"):
        predictor.save(tmp_path / "a.safetensors")
    predictor.set_image(noise)
    before = predictor.images
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"a\.safetensors is truncated or damaged"):
        predictor.load(tmp_path / "a.safetensors")
    assert predictor.images is before
