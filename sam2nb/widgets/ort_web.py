"""onnxruntime-web: ONNX Runtime as WebAssembly, fetched once from npm and checked.

    python -m sam2nb download onnxruntime-web

It is MIT licensed (static/NOTICE.txt) and its WebAssembly has 14 MB, 27 MB with WebGPU, so it is neither in the
repository nor in the wheel. The ordinary npm client fetches it, with the user's settings, and the archive is checked
against what npm published for this version. It is kept beside the checkpoints; pages and widgets get its bytes, never
an address.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from sam2nb.weights.npm import PackageError, npm_pack, unpack
from sam2nb.weights.registry import checkpoint_folder
from sam2nb.whole_file import whole_file

NAME, VERSION = "onnxruntime-web", "1.30.0"
PACKAGE = f"{NAME}@{VERSION}"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
ARCHIVE_BYTES = 33_106_585
CODE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
GPU_CODE, GPU_WASM = "ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"
PACKED = ".gz"  # WebAssembly is kept as it travels: a third of its size
SOURCE_MAP = "//# sourceMappingURL="  # names a file that does not travel along


class OrtWeb(NamedTuple):
    """The two files of a build that a page needs.

    code: a JavaScript module. wasm: WebAssembly with SIMD, compressed by gzip, which the module loads from bytes.
    """

    code: str
    wasm: bytes


def browser_folder() -> Path:
    """The folder of what browsers get, beside the checkpoints."""
    return checkpoint_folder() / "browser"


def ort_web(gpu: bool = False) -> OrtWeb:
    """Read onnxruntime-web, fetching it first where it is not on this machine.

    gpu: the build that also computes with WebGPU.
    Raises PackageError when npm does not deliver it, or the archive is not the expected one.
    """
    fetch_ort_web()
    return ort_web_here(gpu)


def ort_web_here(gpu: bool = False) -> OrtWeb | None:
    """Read onnxruntime-web if it is on this machine; gpu as in `ort_web`."""
    home = browser_folder() / PACKAGE
    code, wasm = (home / GPU_CODE, home / f"{GPU_WASM}{PACKED}") if gpu else (home / CODE, home / f"{WASM}{PACKED}")
    if not (code.is_file() and wasm.is_file()):
        return None
    return OrtWeb(code.read_text(encoding="utf-8").split(SOURCE_MAP)[0], wasm.read_bytes())


def fetch_ort_web() -> Path:
    """Fetch onnxruntime-web by npm, unless it is on this machine, and return its folder.

    Raises PackageError as `ort_web` does, OSError where the folder cannot be written.
    """
    home = browser_folder() / PACKAGE
    if ort_web_here() and ort_web_here(gpu=True):
        return home
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sam2nb-", dir=home.parent) as name:
        archive = npm_pack(PACKAGE, Path(name), ARCHIVE_BYTES)
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != SHA512:
            raise PackageError(f"{PACKAGE} does not have the expected SHA-512 {SHA512[:12]}…; it was not opened")
        for file in unpack(archive, Path(name), (WASM, GPU_WASM, CODE, GPU_CODE)):
            if file.suffix == ".wasm":
                with whole_file(home / f"{file.name}{PACKED}") as part:
                    part.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
            else:
                file.replace(home / file.name)
    return home
