"""Checkpoint files: identified by their content, and refused when they are something else."""

import os
import pickle

import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.weights.files import identify, read_state_file, sha256_of, write_state_file
from sam2nb.weights.registry import CHECKPOINTS


@pytest.mark.parametrize("config", [c.config for c in CHECKPOINTS.values() if c.url])
def test_every_official_configuration_is_recognised_by_its_tensors(config):
    state = build_sam2(config, device="meta").state_dict()
    assert identify(state).config == config


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
def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path, content, message):
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_state_file(tmp_path / "weights.pt")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle"])
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, container):
    sprung, path = tmp_path / "sprung", tmp_path / "weights.pt"
    content = {"model": Trap(sprung)}
    if container == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(ValueError, match="refused, and no code in it was run|it is a bare pickle"):
        read_state_file(path)
    assert not sprung.exists()
    if container == "pickle":  # the trap is a real one
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert sprung.exists()


@pytest.mark.parametrize("content", [[1, 2], {"model": {"weights": 3}}, {"epoch": 3}, {}])
def test_a_pt_file_without_tensors_says_what_it_holds(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="holds a list|holds no state dict"):
        read_state_file(tmp_path / "weights.pt")


def test_a_missing_file_is_reported_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere\.pt"):
        read_state_file(tmp_path / "nowhere.pt")


def test_a_folder_with_one_checkpoint_is_read_and_one_with_two_is_refused(tmp_path):
    write_state_file(tmp_path / "a.pt", {"x": torch.ones(1)})
    assert read_state_file(tmp_path).path == tmp_path / "a.pt"
    write_state_file(tmp_path / "b.safetensors", {"x": torch.ones(1)})
    with pytest.raises(ValueError, match=r"a single checkpoint in it, found a.pt, b.safetensors"):
        read_state_file(tmp_path)
    write_state_file(tmp_path / "model.safetensors", {"x": torch.ones(1)})
    assert read_state_file(tmp_path).path == tmp_path / "model.safetensors"


def test_the_hash_of_a_file_is_its_sha_256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
