"""Checkpoints in and out of a model, and what a user reads when a file does not fit."""

from __future__ import annotations

import logging
import os
import pickle
import shutil

import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.weights import registry
from sam2nb.weights.checkpoint import load_checkpoint, save_checkpoint, video_refusal
from sam2nb.weights.files import VIDEO_PARTS, identify, read_state_file
from sam2nb.weights.registry import CHECKPOINTS, find_checkpoint


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
    """A 2.0 model and a file with nothing but its image path."""
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
def test_what_is_saved_comes_back(tiny, other, tmp_path, name):
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


def test_a_file_is_judged_by_its_bytes_not_its_name(tiny, other, tmp_path):
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


def test_saving_refuses_integer_types_and_unknown_endings(tiny, tmp_path):
    with pytest.raises(ValueError, match="dtype must be a floating-point type"):
        save_checkpoint(tiny, tmp_path / "weights.pt", dtype=torch.int8)
    with pytest.raises(ValueError, match=r"path must end in .pt or .safetensors, got 'weights.bin'"):
        save_checkpoint(tiny, tmp_path / "weights.bin")
    assert os.listdir(tmp_path) == []


def test_saving_over_the_file_that_was_loaded_is_safe(tiny, other, tmp_path):
    path = save_checkpoint(tiny, tmp_path / "weights.pt")
    load_checkpoint(other, path)
    save_checkpoint(other, path)
    assert same(tiny, read_state_file(path).state)


def test_a_failed_save_leaves_the_old_file(tiny, other, tmp_path, monkeypatch):
    path = save_checkpoint(tiny, tmp_path / "weights.pt")

    def break_off(*_):
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", break_off)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(other, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["weights.pt"]
    assert same(tiny, read_state_file(path).state)


@pytest.mark.parametrize("config", [c.config for c in CHECKPOINTS.values() if c.url])
def test_every_configuration_is_recognised_by_its_tensors(config):
    state = build_sam2(config, device="meta").state_dict()
    assert identify(state).config == config


def test_a_model_of_our_own_is_recognised_by_the_note_in_its_file(tiny, tmp_path):
    nano = build_sam2("sam2nb_nano", device="cpu")
    path = save_checkpoint(nano, tmp_path / "weights.safetensors")
    assert read_state_file(path).identity.config == "sam2nb_nano"
    with pytest.raises(ValueError, match="trunk of sam2nb_nano .* build the model with config 'sam2nb_nano'"):
        load_checkpoint(tiny, path)
    torch.save(nano.state_dict(), tmp_path / "without_note.pt")
    with pytest.raises(ValueError, match="with the trunk of nobody we know"):
        load_checkpoint(tiny, tmp_path / "without_note.pt")


# Files that do not fit


def test_a_missing_file_is_reported_by_name(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere\.pt"):
        load_checkpoint(tiny, tmp_path / "nowhere.pt")


def test_a_truncated_file_is_called_truncated_and_changes_nothing(tiny, other, tmp_path):
    before = {name: value.clone() for name, value in other.state_dict().items()}
    for name in ("weights.pt", "weights.safetensors"):
        path = save_checkpoint(tiny, tmp_path / name)
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size // 2)
        with pytest.raises(ValueError, match=rf"{name} is a truncated or damaged \{path.suffix} file"):
            load_checkpoint(other, path)
    assert same(other, before)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>404</html>" + b" " * 600, "it is a web page"),
        (b"\n <?xml version='1.0'?><Error/>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"These are not the weights you are looking for.\n", "it is text, beginning with 'These are not"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "it begins with the bytes 89 50 4e 47"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tiny, tmp_path, content, message):
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tiny, tmp_path / "weights.pt")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle"])
def test_a_malicious_pickle_is_refused_and_nothing_in_it_runs(tiny, tmp_path, container):
    sprung, path = tmp_path / "sprung", tmp_path / "weights.pt"
    content = {"model": Trap(sprung)}
    if container == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(ValueError, match="refused and nothing in it was run|it is a bare pickle"):
        load_checkpoint(tiny, path)
    assert not sprung.exists()
    if container == "pickle":  # the trap is a real one
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert sprung.exists()


@pytest.mark.parametrize("content", [[1, 2], {"model": {"weights": 3}}, {"epoch": 3}, {}])
def test_a_pt_file_without_tensors_says_what_it_holds(tiny, tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="holds a list|holds no state dict"):
        load_checkpoint(tiny, tmp_path / "weights.pt")


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


def test_weights_of_something_else_are_called_that(tiny, tmp_path):
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


def test_image_only_weights_load_with_one_clear_sentence(image_only, caplog):
    saved, path = image_only
    model = build_sam2("sam2_hiera_t", device="cpu")
    with caplog.at_level(logging.WARNING):
        load_checkpoint(model, path)
    assert len(caplog.records) == 1
    for words in ("memory attention", "memory encoder", "object pointers", "object-score", "sam2.1_hiera_tiny"):
        assert words in caplog.text
    assert model.missing_parts == saved.missing_parts
    assert torch.equal(model.no_mem_embed, saved.no_mem_embed)
    assert not any(name.startswith("memory_") for name in read_state_file(path).state)


def test_complete_weights_clear_the_note_on_missing_parts(image_only, tmp_path):
    _, path = image_only
    complete = save_checkpoint(build_sam2("sam2_hiera_t", device="cpu"), tmp_path / "complete.pt")
    model = load_checkpoint(build_sam2("sam2_hiera_t", device="cpu"), path)
    assert load_checkpoint(model, complete).missing_parts == ()


def test_image_only_weights_keep_to_their_generation(tiny, image_only):
    with pytest.raises(ValueError, match=r"the model is SAM 2\.1 .* config 'sam2_hiera_t'"):
        load_checkpoint(tiny, image_only[1])


def test_weights_with_half_of_the_memory_are_refused(tiny, tmp_path):
    state = {name: value for name, value in tiny.state_dict().items() if not name.startswith("memory_attention")}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="memory_attention.* is missing"):
        load_checkpoint(tiny, tmp_path / "weights.pt")


def test_the_refusal_to_track_names_what_is_missing():
    sentence = video_refusal(("memory_encoder", "obj_ptr_proj", "no_obj_ptr"))
    assert "no weights for memory encoder and object pointers" in sentence
    assert "sam2nb_nano" in sentence


# The registry


def test_the_registry_knows_eight_official_checkpoints_and_ours():
    assert len([c for c in CHECKPOINTS.values() if c.url]) == 8
    assert CHECKPOINTS["sam2.1_hiera_large"].published == (39.5, 79.5, 74.6, 80.6)
    assert CHECKPOINTS["sam2_hiera_base_plus"].url.endswith("/072824/sam2_hiera_base_plus.pt")
    assert CHECKPOINTS["sam2.1_hiera_base_plus"].hugging_face == "facebook/sam2.1-hiera-base-plus"


@pytest.mark.parametrize("name", [c.name for c in CHECKPOINTS.values() if c.url])
def test_registered_parameter_counts_are_true(name):
    model = build_sam2(CHECKPOINTS[name].config, device="meta")
    assert sum(p.numel() for p in model.parameters()) == CHECKPOINTS[name].parameters


@pytest.mark.parametrize(
    "alias",
    [
        "sam2.1_hiera_base_plus",
        "sam2.1_hiera_b+",
        "facebook/sam2.1-hiera-base-plus",
        "configs/sam2.1/sam2.1_hiera_b+.yaml",
        "checkpoints/sam2.1_hiera_base_plus.pt",
        "SAM2.1_hiera_base_plus.safetensors",
    ],
)
def test_a_checkpoint_answers_to_every_usual_name(alias):
    assert find_checkpoint(alias).name == "sam2.1_hiera_base_plus"


def test_an_unknown_name_gets_a_suggestion_and_the_list():
    with pytest.raises(ValueError, match=r"'sam2_hiera_tinny'\. Did you mean 'sam2_hiera_tiny'\? Known: sam2\.1_hiera"):
        find_checkpoint("sam2_hiera_tinny")
    with pytest.raises(TypeError, match="name must be a string"):
        find_checkpoint(3)


def test_files_are_found_by_name_complete_ones_first(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(registry, "shipped_folder", lambda: None)
    monkeypatch.setattr(registry, "hub_cache_file", lambda _: None)
    assert registry.best_on_disk() is None
    (tmp_path / "sam2_hiera_tiny_image.safetensors").touch()
    assert registry.file_on_disk("facebook/sam2-hiera-tiny").name == "sam2_hiera_tiny_image.safetensors"
    assert registry.file_on_disk("sam2_hiera_tiny", video=True) is None
    assert registry.best_on_disk().name == "sam2_hiera_tiny"
    (tmp_path / "sam2_hiera_tiny.pt").touch()
    (tmp_path / "sam2.1_hiera_small.pt.part").touch()
    assert registry.file_on_disk("sam2_hiera_tiny").name == "sam2_hiera_tiny.pt"
    assert registry.best_on_disk(video=True).name == "sam2_hiera_tiny"
    (tmp_path / "sam2.1_hiera_tiny.safetensors").touch()
    assert registry.best_on_disk().name == "sam2.1_hiera_tiny"


def test_what_the_hub_cache_holds_counts_as_being_here(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path / "mine"))
    snapshot = tmp_path / "hub" / "models--facebook--sam2.1-hiera-small" / "snapshots" / "abc"
    (snapshot.parent.parent / "refs").mkdir(parents=True)
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    snapshot.mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert registry.file_on_disk("sam2.1_hiera_small") is None
    (snapshot / "sam2.1_hiera_small.pt").touch()
    assert registry.file_on_disk("sam2.1_hiera_small") == snapshot / "sam2.1_hiera_small.pt"
    (snapshot / "model.safetensors").touch()
    assert registry.file_on_disk("sam2.1_hiera_small", video=True) == snapshot / "model.safetensors"
    assert registry.file_on_disk("sam2.1_hiera_small", folder=tmp_path / "mine") is None


def test_the_folder_can_be_chosen_and_has_a_default_outside_a_source_tree(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert registry.checkpoint_folder() == tmp_path / "mine"
    monkeypatch.delenv(registry.FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "PACKAGE", tmp_path / "site-packages" / "sam2nb")
    assert registry.checkpoint_folder() == tmp_path / "cache" / "sam2nb"
