"""Saved state: written whole, read only where it belongs and is undamaged."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file, save_file

from sam2nb import build_sam2
from sam2nb.predict import saving
from sam2nb.predict.saving import SavedState, read_state, write_state

KIND = "test state"


def small(image_size=128):
    torch.manual_seed(0)
    return build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=[f"++model.image_size={image_size}"])


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture
def file(model, tmp_path):
    return write_state(tmp_path / "a.state", KIND, SavedState([1, "b"], {"0": torch.arange(400.0)}), model)


def test_what_was_written_is_read_by_an_equal_model(file):
    notes, tensors = read_state(file, KIND, small())
    assert notes == [1, "b"] and torch.equal(tensors["0"], torch.arange(400.0))


def test_a_missing_file_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no test state '.*b.state'"):
        read_state(tmp_path / "b.state", KIND, model)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_named(file, model, length):
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ValueError, match="a.state is truncated or damaged"):
        read_state(file, KIND, model)


def test_no_changed_byte_gives_another_state(file, model):
    content, refused = file.read_bytes(), 0
    rng = random.Random(0)
    for position in [*rng.sample(range(8, len(content)), 100), len(content) - 1]:
        changed = bytearray(content)
        changed[position] ^= 1 << rng.randrange(8)
        file.write_bytes(changed)
        try:
            notes, tensors = read_state(file, KIND, model)
        except ValueError as error:
            assert str(file) in str(error) and "damaged" in str(error)
            refused += 1
        else:  # a byte that nothing depends on
            assert notes == [1, "b"] and torch.equal(tensors["0"], torch.arange(400.0))
    assert refused > 90


def test_other_files_are_refused(model, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is no saved test state, but another .safetensors file"):
        read_state(path, KIND, model)
    path.write_text("hello, this is text and nothing else")
    with pytest.raises(ValueError, match="truncated or damaged, or no saved test state"):
        read_state(path, KIND, model)


def test_another_kind_is_refused(file, model):
    with pytest.raises(ValueError, match="is a saved test state, not a video session"):
        read_state(file, "video session", model)


def test_another_version_is_refused(file, model, monkeypatch):
    monkeypatch.setattr(saving, "VERSION", 2)
    with pytest.raises(ValueError, match="has version 1 of the format, this sam2nb reads version 2"):
        read_state(file, KIND, model)


def test_other_weights_are_refused_with_the_names_of_both_models(file):
    other = small()
    with torch.no_grad():
        other.no_mem_embed += 1
    with pytest.raises(ValueError, match=r"a.state was saved with other weights: sam2nb_nano \(\w{12}…\), the model"):
        read_state(file, KIND, other)


def test_another_size_and_another_precision_are_refused(file):
    with pytest.raises(ValueError, match="was saved with image_size=128, the model has 256"):
        read_state(file, KIND, small(256))
    other = small()
    other.compute_dtype = torch.bfloat16
    with pytest.raises(ValueError, match="was saved with dtype='float32', the model computes in 'bfloat16'"):
        read_state(file, KIND, other)


def test_a_disk_that_takes_no_more_is_an_os_error_and_the_old_file_stays(file, model):
    limits = pytest.importorskip("resource")
    before = file.read_bytes()
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1000, hard))  # as if the disk were full after 1000 bytes
    try:
        with pytest.raises(OSError, match="a.state cannot be written"):
            write_state(file, KIND, SavedState([], {"0": torch.zeros(4000)}), model)
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


def test_the_file_is_an_ordinary_safetensors_file_with_readable_notes(file):
    from safetensors import safe_open

    assert torch.equal(load_file(file)["0"], torch.arange(400.0))
    with safe_open(file, framework="pt") as opened:
        header = json.loads(opened.metadata()["sam2nb"])
    assert header["kind"] == KIND and header["model"]["config"] == "sam2nb_nano"
