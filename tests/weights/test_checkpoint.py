"""Loading and saving checkpoints, and the messages for files that do not fit."""

from __future__ import annotations

import logging
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.weights.checkpoint import load_checkpoint, missing_memory, require_video_weights, save_checkpoint
from sam2nb.weights.files import VIDEO_PARTS, read_state_file, write_state_file
from tests.faults import disk_of


@pytest.fixture(scope="module")
def tiny():
    """SAM 2.1 hiera-tiny with random weights; tests must not change it."""
    torch.manual_seed(1)
    return build_sam2("sam2.1_hiera_t", device="cpu")


@pytest.fixture(scope="module")
def _second():
    return build_sam2("sam2.1_hiera_t", device="cpu")


@pytest.fixture
def other(_second):
    """Another model of the same kind, all zeros at the start of every test, to load into."""
    with torch.no_grad():
        for value in _second.state_dict().values():
            value.zero_()
    return _second


@pytest.fixture(scope="module")
def image_only(tmp_path_factory):
    """A 2.0 model and a file with its image path only."""
    torch.manual_seed(3)
    model = build_sam2("sam2_hiera_t", device="cpu")
    model.missing_parts = tuple(p for p in VIDEO_PARTS if p not in ("no_obj_embed_spatial", "obj_ptr_tpos_proj"))
    return model, save_checkpoint(model, tmp_path_factory.mktemp("image_only") / "image.safetensors")


@pytest.fixture
def tmp_path(tmp_path):
    """Emptied after the test: these files are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def same(model, state) -> bool:
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_saved_weights_load_again(tiny, other, tmp_path, name):
    path = save_checkpoint(tiny, tmp_path / name, metadata={"note": "random"})
    assert not same(other, tiny.state_dict())
    assert load_checkpoint(other, path) is other
    assert same(other, tiny.state_dict())
    assert other.missing_parts == ()
    assert read_state_file(path).metadata["note"] == "random"
    assert read_state_file(path).metadata["config"] == "sam2.1_hiera_t"
    assert sorted(os.listdir(tmp_path)) == [name]


def test_a_saved_pt_file_has_the_official_layout(tiny, tmp_path):
    path = save_checkpoint(tiny, tmp_path / "weights.pt")
    content = torch.load(path, weights_only=True)
    assert list(content["model"]) == list(tiny.state_dict())


def test_a_plain_state_dict_loads(tiny, other, tmp_path):
    torch.save(tiny.state_dict(), tmp_path / "plain.pt")
    load_checkpoint(other, tmp_path / "plain.pt")
    assert same(other, tiny.state_dict())


def test_the_format_is_told_by_the_bytes_not_by_the_name(tiny, other, tmp_path):
    save_checkpoint(tiny, tmp_path / "weights.safetensors").rename(tmp_path / "weights.pt")
    load_checkpoint(other, tmp_path / "weights.pt")
    assert same(other, tiny.state_dict())


def test_half_precision_files_are_half_the_size_and_load_into_float32(tiny, other, tmp_path):
    full = save_checkpoint(tiny, tmp_path / "full.safetensors")
    half = save_checkpoint(tiny, tmp_path / "half.safetensors", dtype=torch.float16)
    assert half.stat().st_size < 0.51 * full.stat().st_size
    load_checkpoint(other, half)
    assert {p.dtype for p in other.parameters()} == {torch.float32}
    assert same(other, {name: value.half().float() for name, value in tiny.state_dict().items()})


def test_saving_refuses_integer_types_and_unknown_suffixes(tiny, tmp_path):
    with pytest.raises(ValueError, match="dtype must be a floating-point type"):
        save_checkpoint(tiny, tmp_path / "weights.pt", dtype=torch.int8)
    with pytest.raises(ValueError, match=r"path must end in .pt or .safetensors, got 'weights.bin'"):
        save_checkpoint(tiny, tmp_path / "weights.bin")
    assert os.listdir(tmp_path) == []


def test_a_model_can_be_saved_over_the_file_it_was_loaded_from(tiny, other, tmp_path):
    path = save_checkpoint(tiny, tmp_path / "weights.pt")
    load_checkpoint(other, path)
    save_checkpoint(other, path)
    assert same(tiny, read_state_file(path).state)


def test_a_failed_save_leaves_the_old_file_intact(tiny, other, tmp_path, monkeypatch):
    path = save_checkpoint(tiny, tmp_path / "weights.pt")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(other, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["weights.pt"]
    assert same(tiny, read_state_file(path).state)


def test_our_own_model_is_recognised_by_the_note_in_its_file(tiny, tmp_path):
    nano = build_sam2("sam2nb_nano", device="cpu")
    path = save_checkpoint(nano, tmp_path / "weights.safetensors")
    assert read_state_file(path).identity.config == "sam2nb_nano"
    with pytest.raises(ValueError, match="trunk of sam2nb_nano .* build the model with config 'sam2nb_nano'"):
        load_checkpoint(tiny, path)
    torch.save(nano.state_dict(), tmp_path / "without_note.pt")
    with pytest.raises(ValueError, match="with an unknown trunk"):
        load_checkpoint(tiny, tmp_path / "without_note.pt")


# Files that do not fit


def test_a_truncated_file_is_refused_and_the_model_stays_unchanged(tiny, other, tmp_path):
    before = {name: value.clone() for name, value in other.state_dict().items()}
    for name in ("weights.pt", "weights.safetensors"):
        path = save_checkpoint(tiny, tmp_path / name)
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 2)
        with pytest.raises(ValueError, match=rf"{name} is a truncated or damaged \{path.suffix} file"):
            load_checkpoint(other, path)
    assert same(other, before)


def test_weights_of_another_size_name_the_config_that_fits(tiny, tmp_path):
    large = build_sam2("sam2.1_hiera_s", device="cpu")
    path = save_checkpoint(tiny, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError) as refusal:
        load_checkpoint(large, path)
    assert str(refusal.value) == (
        f"{path} holds SAM 2.1 with hiera tiny (12 blocks, width 96), "
        "the model is SAM 2.1 with hiera small (16 blocks, width 96); build the model with config 'sam2.1_hiera_t'"
    )


def test_weights_of_another_generation_name_the_config_that_fits(tiny, image_only, tmp_path):
    path = save_checkpoint(tiny, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"holds SAM 2\.1 .* the model is SAM 2\.0 .* config 'sam2\.1_hiera_t'"):
        load_checkpoint(image_only[0], path)
    old = save_checkpoint(build_sam2("sam2_hiera_t", device="cpu"), tmp_path / "old.safetensors")
    with pytest.raises(ValueError, match=r"holds SAM 2\.0 .* the model is SAM 2\.1 .* config 'sam2_hiera_t'"):
        load_checkpoint(tiny, old)


def test_weights_of_another_kind_of_model_are_refused(tiny, tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pt")
    with pytest.raises(ValueError, match=r"is not a SAM 2 checkpoint: .* for example conv1\.weight"):
        load_checkpoint(tiny, tmp_path / "resnet.pt")


def test_single_differences_are_listed(tiny, tmp_path):
    state = tiny.state_dict()
    del state["no_obj_ptr"]
    state["extra"] = torch.zeros(1)
    state["maskmem_tpos_enc"] = torch.zeros(5, 1, 1, 64)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ValueError) as refusal:
        load_checkpoint(tiny, tmp_path / "weights.pt")
    for part in ("3 tensors", "no_obj_ptr is missing", "extra is not in", "maskmem_tpos_enc is (5, 1, 1, 64), the mo"):
        assert part in str(refusal.value)


# Image-only weights


def test_image_only_weights_load_without_a_warning(image_only, caplog):
    saved, path = image_only
    model = build_sam2("sam2_hiera_t", device="cpu")
    with caplog.at_level(logging.INFO):
        load_checkpoint(model, path)
    assert [(record.levelname, "videos are tracked by matching" in record.message) for record in caplog.records] == [
        ("INFO", True)
    ]
    assert model.missing_parts == saved.missing_parts
    assert torch.equal(model.no_mem_embed, saved.no_mem_embed)
    assert not any(name.startswith("memory_") for name in read_state_file(path).state)


def test_complete_weights_clear_missing_parts(image_only, tmp_path):
    _, path = image_only
    complete = save_checkpoint(build_sam2("sam2_hiera_t", device="cpu"), tmp_path / "complete.pt")
    model = load_checkpoint(build_sam2("sam2_hiera_t", device="cpu"), path)
    assert load_checkpoint(model, complete).missing_parts == ()


def test_image_only_weights_of_the_other_generation_are_refused(tiny, image_only):
    with pytest.raises(ValueError, match=r"the model is SAM 2\.1 .* config 'sam2_hiera_t'"):
        load_checkpoint(tiny, image_only[1])


def test_weights_that_lack_only_some_video_parts_are_refused(tiny, tmp_path):
    state = {name: value for name, value in tiny.state_dict().items() if not name.startswith("memory_attention")}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="memory_attention.* is missing"):
        load_checkpoint(tiny, tmp_path / "weights.pt")


def test_the_sentence_on_missing_memory_names_its_parts():
    sentence = missing_memory(("memory_encoder", "obj_ptr_proj", "no_obj_ptr"))
    assert "weights for memory encoder and object pointers are missing" in sentence
    assert "sam2nb_nano" in sentence


def test_a_model_with_image_only_weights_is_refused_where_video_is_needed(tiny):
    require_video_weights(tiny)
    with pytest.raises(ValueError, match="no learned memory: weights for memory attention are missing"):
        require_video_weights(SimpleNamespace(missing_parts=("memory_attention",)))


VALUES = {
    "NaN": (lambda tensor: tensor * float("nan"), "NaN or infinite values in no_mem_embed"),
    "infinite": (lambda tensor: tensor + float("inf"), "NaN or infinite values in no_mem_embed"),
    "whole numbers": (lambda tensor: tensor.to(torch.int8), "no_mem_embed as torch.int8"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "no_mem_embed as torch.complex64"),
}


@pytest.fixture(scope="module")
def nano():
    return build_sam2("sam2nb_nano", device="cpu")


@pytest.mark.parametrize("kind", VALUES)
def test_weights_that_are_no_finite_numbers_are_refused_and_the_model_stays_unchanged(nano, tmp_path, kind):
    change, message = VALUES[kind]
    before = {name: tensor.clone() for name, tensor in nano.state_dict().items()}
    state = {name: torch.zeros_like(tensor) for name, tensor in before.items()}
    write_state_file(tmp_path / "odd.safetensors", state | {"no_mem_embed": change(before["no_mem_embed"])})
    with pytest.raises(ValueError, match=rf"odd\.safetensors holds {message}"):
        load_checkpoint(nano, tmp_path / "odd.safetensors")
    assert same(nano, before)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_full_disk_is_an_error_in_words_and_leaves_nothing(nano, tmp_path, suffix):
    with disk_of(1 << 20), pytest.raises(OSError, match=f"weights{suffix} cannot be written: is the disk full"):
        save_checkpoint(nano, tmp_path / f"weights{suffix}")
    assert list(tmp_path.iterdir()) == []
