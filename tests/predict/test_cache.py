"""The cache of encoded images: what it saves, how it shrinks, and that it never fails."""

import logging
import os

import numpy as np
import pytest
import torch

from sam2nb import SAM2ImagePredictor, build_sam2
from sam2nb.predict import encoding
from sam2nb.predict.cache import EmbeddingCache


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=["++model.image_size=64"])


@pytest.fixture
def encoded(monkeypatch):
    """The sizes of the images that the model was asked to encode."""
    sizes = []
    original = encoding.to_model_input
    monkeypatch.setattr(encoding, "to_model_input", lambda rgb, *rest: sizes.append(rgb.shape) or original(rgb, *rest))
    return sizes


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def files(folder) -> list:
    return sorted(path.name for path in folder.iterdir())


def embedding(predictor, rgb) -> torch.Tensor:
    predictor.set_image(rgb)
    return predictor.get_image_embedding()


def test_an_image_is_encoded_once_by_whatever_predictor_and_kind(model, tmp_path, encoded):
    from PIL import Image

    plain = embedding(SAM2ImagePredictor(model), image(0))
    first = embedding(SAM2ImagePredictor(model, cache=tmp_path / "c"), image(0))
    again = embedding(SAM2ImagePredictor(model, cache=str(tmp_path / "c")), Image.fromarray(image(0)))
    assert len(encoded) == 2 and len(files(tmp_path / "c")) == 1
    assert torch.equal(first, plain) and torch.equal(again, plain)


def test_of_a_batch_the_new_images_are_encoded(model, tmp_path, encoded):
    predictor = SAM2ImagePredictor(model, cache=tmp_path)
    predictor.set_image(image(1))
    encoded.clear()
    predictor.set_image_batch([image(0), image(1), image(2)])
    together = predictor.get_image_embedding()
    assert len(encoded) == 2
    alone = [embedding(SAM2ImagePredictor(model), image(seed)) for seed in range(3)]
    assert torch.equal(together, torch.cat(alone))


def test_pixels_shape_weights_size_and_precision_have_files_of_their_own(model, tmp_path):
    cache, rgb = EmbeddingCache(tmp_path), image(0)
    names = {cache.file_of(rgb, model)}
    changed = rgb.copy()
    changed[0, 0, 0] ^= 1
    names |= {cache.file_of(changed, model), cache.file_of(rgb.reshape(40, 30, 3), model)}
    torch.manual_seed(1)
    other = build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=["++model.image_size=64"])
    names.add(cache.file_of(rgb, other))
    other.load_state_dict(model.state_dict())
    assert cache.file_of(rgb, other) in names
    other.compute_dtype = torch.bfloat16
    names.add(cache.file_of(rgb, other))
    other.compute_dtype, other.image_size = torch.float32, 96
    names.add(cache.file_of(rgb, other))
    assert len(names) == 6


def test_the_image_used_longest_ago_goes_first(model, tmp_path):
    cache = EmbeddingCache(tmp_path)
    cache.encode(model, [image(0)])
    size = next(tmp_path.iterdir()).stat().st_size
    cache = EmbeddingCache(tmp_path, max_bytes=int(3.5 * size))
    (tmp_path / "mine.safetensors").write_bytes(bytes(10 * size))  # not the cache's
    paths = [cache.file_of(image(seed), model) for seed in range(4)]
    for age, seed in enumerate((0, 1, 2)):
        cache.encode(model, [image(seed)])
        os.utime(paths[seed], (1000 + age, 1000 + age))
    cache.encode(model, [image(0)])  # used again: 1 is now the oldest
    cache.encode(model, [image(3)])
    assert [path.exists() for path in paths] == [True, False, True, True]
    assert (tmp_path / "mine.safetensors").exists()


def test_a_cache_smaller_than_an_image_stays_empty(model, tmp_path):
    predictor = SAM2ImagePredictor(model, cache=tmp_path, cache_size=100)
    predictor.set_image(image(0))
    assert predictor.images and files(tmp_path) == []


@pytest.mark.parametrize("damage", [lambda content: content[:-7], lambda content: b"", lambda content: bytes(500)])
def test_a_damaged_file_is_ignored_and_written_anew(model, tmp_path, encoded, damage):
    predictor = SAM2ImagePredictor(model, cache=tmp_path)
    expected = embedding(predictor, image(0))
    [path] = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert torch.equal(embedding(predictor, image(0)), expected)
    assert len(encoded) == 2 and path.stat().st_size == len(content)
    assert torch.equal(embedding(predictor, image(0)), expected) and len(encoded) == 2


def check_that_it_works_with_one_warning(model, folder, caplog):
    predictor = SAM2ImagePredictor(model, cache=folder)
    with caplog.at_level(logging.WARNING):
        results = [embedding(predictor, image(seed)) for seed in (0, 1, 0)]
    assert torch.equal(results[0], results[2]) and torch.equal(
        results[0], embedding(SAM2ImagePredictor(model), image(0))
    )
    assert len(caplog.records) == 1 and str(folder) in caplog.text and "cannot be written" in caplog.text


def test_a_folder_that_cannot_be_made_costs_one_warning(model, tmp_path, caplog):
    (tmp_path / "file").touch()
    check_that_it_works_with_one_warning(model, tmp_path / "file" / "cache", caplog)


def test_a_full_disk_costs_one_warning(model, tmp_path, caplog):
    limits = pytest.importorskip("resource")
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1000, hard))
    try:
        check_that_it_works_with_one_warning(model, tmp_path, caplog)
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []


def test_a_read_only_disk_is_still_read(model, tmp_path, monkeypatch, encoded, caplog):
    SAM2ImagePredictor(model, cache=tmp_path).set_image(image(0))
    encoded.clear()

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.utime", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    predictor = SAM2ImagePredictor(model, cache=tmp_path)
    for seed in (0, 1, 2):
        predictor.set_image(image(seed))
    assert len(encoded) == 2 and len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


@pytest.mark.parametrize("size", [0, -5])
def test_a_size_that_makes_no_sense_is_refused(model, tmp_path, size):
    with pytest.raises(ValueError, match=f"cache_size must be a positive number of bytes, got {size}"):
        SAM2ImagePredictor(model, cache=tmp_path, cache_size=size)
