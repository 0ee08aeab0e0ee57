"""The page without Python: sam2nb_nano and everything it needs in one HTML file.

The page works from a stick or a disk, offline: the model as ONNX, onnxruntime-web, a few photographs and the JavaScript
of static/ travel inside it, as base64. Its parts, one job each:

- `decode.js` encodes images and decodes prompts; `worker.js` does so beside the page, `remote.js` talks to it;
- `masks.js` and `pictures.js` turn logits into what is seen; `stage.js` is the canvas, `playground.js` the rest.
"""

from __future__ import annotations

import base64
import gzip
import html
import tempfile
from pathlib import Path

from sam2nb.resources import resource_dir
from sam2nb.whole_file import write_text
from sam2nb.widgets.bundle import STATIC, joined, style
from sam2nb.widgets.ort_web import OrtWeb

MODULES = ("decode", "remote", "masks", "pictures", "embedded", "stage", "playground")
WORKER_MODULES = ("decode", "worker")
MODEL_FILES = ("image_encoder", "mask_decoder")
PHOTOS = {  # data/README.md says more
    "cat": "cat by Stéfan van der Walt, CC0",
    "coffee": "coffee by Rachel Michetti, CC0",
    "astronaut": "astronaut by NASA, public domain",
    "rocket": "rocket by SpaceX, public domain",
    "coins": "coins of the Brooklyn Museum, no known copyright restrictions",
}


def write_playground(path: str | Path, model_folder: str | Path, runtime: OrtWeb) -> Path:
    """Write the page, and return its path.

    model_folder: an ONNX export, of `export_onnx`. runtime: from `ort_web`.
    Raises FileNotFoundError for a folder without the files of an export.
    """
    model_folder, photos = Path(model_folder), resource_dir("data") / "photos"
    files = [_embedded("runtime-code", runtime.code.encode()), _embedded("runtime-wasm", runtime.wasm)]
    files += [_embedded(name, optimised(model_folder / f"{name}.onnx")) for name in MODEL_FILES]
    files.append(_embedded("facts", (model_folder / "model.json").read_bytes()))
    for name in PHOTOS:
        files.append(_embedded(f"photo-{name}", (photos / f"{name}.jpg").read_bytes(), packed=False, photo=name))
    parts = {
        "STYLE": style("playground"),
        "CREDITS": html.escape("; ".join(PHOTOS.values())) + ".",
        "NOTICE": html.escape((STATIC / "NOTICE.txt").read_text(encoding="utf-8")),
        "WORKER": joined(*WORKER_MODULES),
        "SCRIPT": joined(*MODULES),
        "FILES": "\n".join(files),
    }
    page = (STATIC / "playground.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        page = page.replace(f"%{name}%", text)
    return write_text(path, page)


def optimised(path: Path) -> bytes:
    """An .onnx file after those optimisations of onnxruntime that serve every CPU: a page need not repeat them."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / path.name)
        options.log_severity_level = 3  # warns that the file suits machines like this one; layouts are left out
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return (Path(folder) / path.name).read_bytes()


def _embedded(name: str, content: bytes, packed: bool = True, photo: str | None = None) -> str:
    """A file as an element that the browser does not run."""
    content = gzip.compress(content, mtime=0) if packed else content
    notes = (' data-packed="gzip"' if packed else "") + (f' data-photo="{photo}"' if photo else "")
    text = base64.b64encode(content).decode()
    return f'<script type="application/octet-stream" id="{name}"{notes}>{text}</script>'
