"""Damaged and hostile .pt files: each is refused by its name, before it can fill the memory, and nothing in it runs."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from sam2nb.weights import torch_file
from sam2nb.weights.files import read_state_file
from sam2nb.weights.torch_file import read_torch

STATE = {"image_encoder.trunk.patch_embed.proj.weight": torch.randn(8, 3, 7, 7), "b": torch.arange(6.0)}


@pytest.fixture
def whole(tmp_path) -> Path:
    torch.save({"model": STATE, "metadata": {"note": "x"}}, tmp_path / "whole.pt")
    return tmp_path / "whole.pt"


def rewrite(source: Path, target: Path, change=lambda name, data: data, compression=zipfile.ZIP_STORED) -> Path:
    """The same archive with other content in its members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for member in old.infolist():
            new.writestr(member.filename, change(member.filename, old.read(member)))
    return target


def test_a_whole_file_is_read(whole):
    state, notes = read_torch(whole)
    assert notes == {"note": "x"} and all(torch.equal(state[name], tensor) for name, tensor in STATE.items())


@pytest.mark.parametrize("at", range(0, 90, 3))
def test_a_changed_byte_in_the_pickle_is_no_message_of_torch(whole, tmp_path, at):
    def flip(name, data):
        return data[:at] + bytes([data[at] ^ 0xF6]) + data[at + 1 :] if name.endswith("data.pkl") else data

    path = rewrite(whole, tmp_path / "flipped.pt", flip)
    try:
        read_state_file(path)
    except ValueError as error:
        assert type(error) is ValueError and str(error).startswith(str(path))
        assert not {"codec", "opcode", "zipfile", "PytorchStream", "weights_only"} & set(str(error).split())


def test_a_compressed_archive_is_refused_unread(whole, tmp_path, monkeypatch):
    bomb = rewrite(
        whole,
        tmp_path / "bomb.pt",
        lambda name, data: bytes(8 << 20) if name.endswith("data.pkl") else data,
        zipfile.ZIP_DEFLATED,
    )
    assert bomb.stat().st_size < 100_000
    monkeypatch.setattr(torch_file.torch, "load", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(ValueError, match=r"bomb\.pt was refused: it is a compressed archive"):
        read_torch(bomb)


def test_a_huge_pickle_is_refused_unread(whole, monkeypatch):
    monkeypatch.setattr(torch_file, "LARGEST_PICKLE", 10)
    monkeypatch.setattr(torch_file.torch, "load", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(ValueError, match=r"whole\.pt was refused: its names and shapes take more than"):
        read_torch(whole)


def test_a_record_that_is_shorter_than_its_tensor_is_refused(whole, tmp_path):
    short = rewrite(whole, tmp_path / "short.pt", lambda name, data: data[:3] if name.endswith("data/0") else data)
    with pytest.raises(ValueError, match=r"short\.pt is a truncated or damaged \.pt file"):
        read_torch(short)


ODD = {
    "a number as a name": ({1: torch.ones(2)}, "expected names, found 1"),
    "nothing as a name": ({None: torch.ones(2)}, "expected names, found None"),
    "a sparse tensor": ({"a": torch.eye(3).to_sparse()}, "no plain tensor"),
    "a tensor without data": ({"a": torch.ones(3, device="meta")}, "no plain tensor"),
    "a tensor larger than its data": ({"a": torch.ones(1).expand(1 << 40)}, "no plain tensor"),
    "a scalar where a matrix belongs": ({"image_encoder.trunk.patch_embed.proj.weight": torch.tensor(1.0)}, None),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_tensors_are_refused_by_the_name_of_the_file(tmp_path, kind):
    state, message = ODD[kind]
    torch.save(state, tmp_path / "odd.pt")
    if message is None:
        assert read_state_file(tmp_path / "odd.pt").identity is None
        return
    with pytest.raises(ValueError, match=rf"odd\.pt .*{message}"):
        read_state_file(tmp_path / "odd.pt")


def test_a_program_is_named_for_what_it_is(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "program.pt"))
    with pytest.raises(ValueError, match=r"program\.pt is a TorchScript program"):
        read_torch(tmp_path / "program.pt")


def test_the_class_that_a_file_asks_for_is_named(whole, tmp_path):
    call = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
    trap = rewrite(whole, tmp_path / "trap.pt", lambda name, data: call if name.endswith("data.pkl") else data)
    with pytest.raises(ValueError, match=r"trap\.pt was refused, and no code in it was run: it asks for posix\.system"):
        read_torch(trap)
    assert pickle.loads(call) == 0  # the trap is a real one
