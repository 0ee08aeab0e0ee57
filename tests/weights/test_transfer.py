"""One file over HTTP, from a local test server: complete, resumed or refused."""

import os
import time
from pathlib import Path

import pytest

from sam2nb.weights import transfer
from sam2nb.weights.transfer import DownloadError, download_file

pytestmark = pytest.mark.usefixtures("quick_transfers")


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


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_file_with_more_bytes_than_the_limit_is_refused_and_nothing_of_it_stays(server, tmp_path, says_its_size):
    server.files["/a"], server.says_its_size = os.urandom(3_000_000), says_its_size
    with pytest.raises(DownloadError, match="the file has more than 2 MB"):
        download_file(f"{server.url}/a", tmp_path / "a.jpg", accept, limit=2_000_000)
    assert os.listdir(tmp_path) == []
    download_file(f"{server.url}/a", tmp_path / "a.jpg", accept, limit=3_000_000)
    assert (tmp_path / "a.jpg").read_bytes() == server.files["/a"]


def test_a_weak_tag_is_not_trusted_for_resuming(server, tmp_path):
    server.files["/a"], server.etag = os.urandom(50_000), 'W/"v1"'
    server.break_after = [20_000]
    download_file(f"{server.url}/a", tmp_path / "a.pt", accept)
    assert [wanted for _, wanted in server.requests] == [None, None]
    assert (tmp_path / "a.pt").read_bytes() == server.files["/a"]


def test_a_silent_server_times_out_and_a_slow_one_does_not(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "STALL_SECONDS", 0.3)
    server.files["/a"] = os.urandom(50_000)
    server.pause = 0.1  # 0.6 s in all: longer than the limit on silence
    download_file(f"{server.url}/a", tmp_path / "slow.pt", accept)
    server.stall = 0.8
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DownloadError, match="timed out"):
        download_file(f"{server.url}/a", tmp_path / "silent.pt", accept)
    assert sorted(os.listdir(tmp_path)) == ["silent.pt.part", "silent.pt.part.etag", "slow.pt"]


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

    monkeypatch.setattr(transfer, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(transfer.socket, "create_connection", never)
    begin = time.monotonic()
    with pytest.raises(DownloadError, match=r"example\.org:443 is not reachable"):
        download_file("https://example.org/a.pt", tmp_path / "a.pt", accept)
    with pytest.raises(DownloadError, match="was not reachable a moment ago"):
        download_file("https://example.org/b.pt", tmp_path / "b.pt", accept)
    assert time.monotonic() - begin < 2
    assert attempts == [("example.org", 443)]
    monkeypatch.setattr(transfer, "UNREACHABLE_SECONDS", 0.0)
    with pytest.raises(DownloadError, match="is not reachable"):
        download_file("https://example.org/a.pt", tmp_path / "a.pt", accept)
    assert len(attempts) == 2


def test_behind_a_proxy_the_proxy_must_be_reachable(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    assert transfer._host("https://example.org/a") == "proxy.example:3128"
    assert transfer._host("https://intern.example/a") == "intern.example:443"
