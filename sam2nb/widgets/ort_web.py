"""onnxruntime-web: ONNX Runtime as WebAssembly, fetched once from npm and checked.

It is MIT licensed (static/NOTICE.txt) and its WebAssembly has 14 MB, so it is not in the repository. The ordinary npm
client fetches it, with the user's settings, and the archive is checked against what npm published for this version.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple

from sam2nb.weights.npm import PackageError, npm_pack, unpack

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
ARCHIVE_BYTES = 33_106_585
CODE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
SOURCE_MAP = "//# sourceMappingURL="  # names a file that does not travel along


class OrtWeb(NamedTuple):
    """The two files that a page needs: a JavaScript module, and WebAssembly with SIMD, which it loads from bytes."""

    code: str
    wasm: bytes


def ort_web(folder: str | Path) -> OrtWeb:
    """Read onnxruntime-web from a folder, fetching it into that folder once.

    Raises PackageError when npm does not deliver it, or the archive is not the expected one.
    """
    home = Path(folder) / PACKAGE
    if not all((home / name).is_file() for name in (CODE, WASM)):
        _fetch(home)
    code = (home / CODE).read_text(encoding="utf-8")
    return OrtWeb(code.split(SOURCE_MAP)[0], (home / WASM).read_bytes())


def _fetch(home: Path) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sam2nb-", dir=home.parent) as name:
        archive = npm_pack(PACKAGE, Path(name), ARCHIVE_BYTES)
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != SHA512:
            raise PackageError(f"{PACKAGE} does not have the expected SHA-512 {SHA512[:12]}…; it was not opened")
        home.mkdir(exist_ok=True)
        for file in unpack(archive, Path(name), (CODE, WASM)):
            file.replace(home / file.name)
