"""The page without Python: sam2nb_nano and everything it needs in one HTML file.

The page works from a stick or a disk, offline: the model as ONNX, onnxruntime-web, a few photographs and the JavaScript
of static/ travel inside it, as base64. Its parts, one job each:

- `decode.js` encodes images and decodes prompts; `worker.js` does so beside the page, `remote.js` talks to it;
- `masks.js`, `pictures.js` and `layers.js` turn logits into what is seen;
- `stage.js` is the canvas, `pointing.js` the photograph with its prompts, `playground.js` the page around it.
"""

from __future__ import annotations

import base64
import html
from pathlib import Path

from sam2nb.engines.onnx_export import optimised
from sam2nb.resources import resource_dir
from sam2nb.whole_file import write_text
from sam2nb.widgets.browser_model import WORKER_MODULES
from sam2nb.widgets.bundle import STATIC, joined, style
from sam2nb.widgets.ort_web import OrtWeb

POINTING = ("dom", "decode", "masks", "remote", "layers", "pictures", "embedded", "paint", "stage", "pointing")
MODULES = (*POINTING, "playground")
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
    contents = {"runtime-code": runtime.code.encode(), "facts": (model_folder / "model.json").read_bytes()}
    contents |= {name: optimised(model_folder / f"{name}.onnx") for name in MODEL_FILES}  # weights hardly compress
    files = [_embedded(name, content) for name, content in contents.items()]
    files.append(_embedded("runtime-wasm", runtime.wasm, packed="gzip"))
    files += [_embedded(f"photo-{name}", (photos / f"{name}.jpg").read_bytes(), photo=name) for name in PHOTOS]
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


def _embedded(name: str, content: bytes, **notes: str) -> str:
    """A file as an element that the browser does not run. notes: its data- attributes."""
    attributes = "".join(f' data-{key}="{value}"' for key, value in notes.items())
    text = base64.b64encode(content).decode()
    return f'<script type="application/octet-stream" id="{name}"{attributes}>{text}</script>'
