"""Transfer one file over HTTP: resumed where it broke, and verified before it counts.

The file gets its final name only when it is complete and verified; until then it is called `*.part`, and the next
attempt resumes it where the server supports that.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy
from tqdm.auto import tqdm

from sam2nb import __version__

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 4.0  # until a host counts as unreachable
STALL_SECONDS = 30.0  # without a single byte, until a connection counts as broken
UNREACHABLE_SECONDS = 300.0  # until this process tries an unreachable host again
PAUSE_SECONDS = 1.0  # before the second attempt, twice that before the third
ATTEMPTS = 3  # per file; each resumes where the last one stopped
CHUNK = 1 << 16  # bytes; the most that is lost when a connection breaks

_unreachable: dict[str, float] = {}  # "host:port" -> time.monotonic() of the last failure


class DownloadError(OSError):
    """A source did not deliver the file; the message says why."""


class Unreachable(DownloadError):
    """The host of a source cannot be reached, for example because there is no network."""


def download_file(
    url: str,
    target: Path,
    verify: Callable[[Path], object],
    *,
    label: str = "",
    kind: str = "checkpoint",
    limit: int | None = None,
) -> Path:
    """Download `url` to `target`, which appears only if `verify(part)` does not raise ValueError.

    label: of the progress bar. kind: the name of what is fetched in messages. limit: bytes that the file may have.
    Raises Unreachable when the host cannot be reached, DownloadError when it does not deliver the file.
    """
    require_host(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, part, label or target.name, limit)
            break
        except requests.RequestException as error:
            if attempt == ATTEMPTS:
                raise DownloadError(f"{url}: the connection broke {ATTEMPTS} times: {error}") from error
            time.sleep(attempt * PAUSE_SECONDS)
    try:
        verify(part)
    except ValueError as error:
        _discard(part)
        raise DownloadError(f"{url}: the file is not a {kind}: {error}") from error
    os.replace(part, target)
    _tag_file(part).unlink(missing_ok=True)
    return target


def _transfer(url: str, part: Path, label: str, limit: int | None) -> None:
    """Make one request; it resumes an existing part if the server still has the same file, else starts over."""
    tag_file = _tag_file(part)
    have = part.stat().st_size if part.exists() and tag_file.exists() else 0
    # not compressed, or Content-Length would count compressed bytes; some servers refuse a program without a name
    headers = {"Accept-Encoding": "identity", "User-Agent": f"sam2nb/{__version__}"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag_file.read_text()}
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS)) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:  # no bytes after the part
            if response.headers.get("Content-Range", "").endswith(f"/{have}"):
                return  # the part is complete: an earlier call was stopped before it could verify
            _discard(part)
            raise requests.ConnectionError("the partial file does not match the one on the server")
        if response.status_code >= 400:
            raise DownloadError(f"{url}: the server says {response.status_code} {response.reason}")
        if "text/html" in response.headers.get("Content-Type", ""):
            raise DownloadError(f"{url}: a web page came instead of a file (a login page of the network?)")
        is_rest = response.status_code == requests.codes.partial_content
        try:
            _write(response, part, have if is_rest else 0, label, limit)
        except _TooLarge as error:
            _discard(part)
            raise DownloadError(f"{url}: the file has more than {error.limit / 1e6:.0f} MB") from None


class _TooLarge(Exception):
    """A file has more bytes than it may have."""

    def __init__(self, limit: int) -> None:
        self.limit = limit


def _write(response: requests.Response, part: Path, have: int, label: str, limit: int | None) -> None:
    """Write the body of a response into a part, after the `have` bytes that it already has."""
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    if limit is not None and (total or 0) > limit:
        raise _TooLarge(limit)
    _tag_file(part).unlink(missing_ok=True)
    part.touch()
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # a weak tag does not guarantee equal bytes
        _tag_file(part).write_text(tag)
    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, unit_divisor=1024, desc=label)
    with open(part, "r+b") as file, bar:
        file.truncate(have)
        file.seek(have)
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
            if limit is not None and file.tell() > limit:  # the server did not say how long the file is
                raise _TooLarge(limit)
    if total is not None and part.stat().st_size != total:
        raise requests.ConnectionError(f"received {part.stat().st_size} of {total} bytes")


def _tag_file(part: Path) -> Path:
    """The file beside a part that notes its ETag, which tells whether the server still has the same file."""
    return part.with_name(part.name + ".etag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _host(url: str) -> str:
    """The "host:port" to connect to for this url: its own, or that of the proxy."""
    proxy = select_proxy(url, get_environ_proxies(url))
    parts = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    return f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def require_host(url: str) -> None:
    """Raise Unreachable within a few seconds if the host of this url is not reachable; remember that for minutes.

    In a thread, because the lookup of an unknown name can block far longer than a connection timeout.
    """
    address = _host(url)
    failed = _unreachable.get(address)
    if failed is not None and time.monotonic() - failed < UNREACHABLE_SECONDS:
        raise Unreachable(f"{address} was not reachable a moment ago")
    reached, finished = threading.Event(), threading.Event()

    def connect() -> None:
        host, port = address.rsplit(":", 1)
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS):
                reached.set()
        except OSError as error:
            logger.debug("%s: %s", address, error)
        finished.set()

    threading.Thread(target=connect, daemon=True).start()
    finished.wait(CONNECT_SECONDS)
    if reached.is_set():
        _unreachable.pop(address, None)
        return
    _unreachable[address] = time.monotonic()
    raise Unreachable(f"{address} is not reachable")


def forget_unreachable() -> None:
    """Try every host again at the next download (for tests, and after the network has come back)."""
    _unreachable.clear()
