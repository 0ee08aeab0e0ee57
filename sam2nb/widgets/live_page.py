"""Prompt widgets that stay live in pages without Python, by the decoder of sam2nb_nano.

A PromptWidget that is shown while SAM2NB_LIVE_PAGES is set stores its picture and prompts in the output of its cell.
`LivePages` turns such an output into HTML: the still picture, the features of sam2nb_nano (256 KB), and a button that
starts the live view. What all pages need, the decoder and onnxruntime-web, is one script beside them.
"""

from __future__ import annotations

import base64
import html
import io
import json
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2nb.build import load_model
from sam2nb.engines.onnx_export import OPSET, export_graph
from sam2nb.engines.onnx_facts import facts_of
from sam2nb.engines.onnx_graphs import ImageMaskDecoderGraph, exportable
from sam2nb.predict.image import SAM2ImagePredictor
from sam2nb.whole_file import write_text
from sam2nb.widgets.browser_model import WORKER_MODULES, features_of
from sam2nb.widgets.bundle import STATIC, joined, style
from sam2nb.widgets.ort_web import OrtWeb
from sam2nb.widgets.playground import POINTING

VARIABLE = "SAM2NB_LIVE_PAGES"  # of the environment: set while notebooks are executed for pages
MIME = "application/vnd.sam2nb.live+json"
MODEL = "sam2nb_nano"
SCRIPT = "sam2nb_live.js"
MODULES = (*POINTING, "live")
LEVELS = 255  # of a feature, between the least and the largest value of its channel
NOTE = f"Live: {MODEL}, a small model, can answer in this page, without Python."


def live_data(jpeg: bytes, size: list[int], prompts: list[dict[str, Any]], alt: str) -> dict[str, Any]:
    """The entry of an output that can become live, by its MIME type; none unless pages are being made.

    size: width and height of the image in whose pixels the prompts are.
    """
    if not os.environ.get(VARIABLE):
        return {}
    picture = base64.b64encode(jpeg).decode()
    return {MIME: {"picture": picture, "size": size, "prompts": prompts, "alt": alt}}


class LivePages:
    """Makes outputs live, and writes the script that they share. runtime: from `ort_web`."""

    script = SCRIPT

    def __init__(self, runtime: OrtWeb) -> None:
        self.runtime = runtime
        self.is_used = False

    def to_html(self, data: dict[str, Any]) -> str:
        """The output of a widget as HTML. data: by MIME type, with MIME and the still picture among them."""
        self.is_used = True
        live = dict(data[MIME])
        rgb = np.asarray(Image.open(io.BytesIO(base64.b64decode(live["picture"]))).convert("RGB"))
        self._predictor.set_image(rgb)
        live["width"], live["height"] = rgb.shape[1], rgb.shape[0]
        live["features"] = {
            name: packed_map(values[0]) for name, values in features_of(self._predictor.images[0]).items()
        }
        text = json.dumps(live).replace("</", "<\\/")
        label = html.escape(data.get("text/plain", live["alt"]), quote=True)
        return (
            f'<div class="sam2nb-live"><img alt="{label}" src="data:image/jpeg;base64,{data["image/jpeg"]}">'
            f'<p><button type="button">Try it here</button> {NOTE}</p>'
            f'<script type="application/json">{text}</script></div>'
        )

    def write_script(self, path: str | Path) -> Path:
        """Write the script that all pages load when somebody starts a live picture."""
        model = self._predictor.model
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "mask_decoder.onnx"
            export_graph(ImageMaskDecoderGraph(exportable(model)), file, "float16")
            decoder = file.read_bytes()
        files = {
            "style": style("widgets"),
            "facts": facts_of(model, {}, "float16", OPSET),
            "worker": joined(*WORKER_MODULES),
            "code": self.runtime.code,
            "wasm": base64.b64encode(self.runtime.wasm).decode(),
            "decoder": base64.b64encode(decoder).decode(),
        }
        notice = (STATIC / "NOTICE.txt").read_text(encoding="utf-8").replace("*/", "")
        text = f"/*\n{notice}*/\nwindow.sam2nbLive = {json.dumps(files)};\n(() => {{\n{joined(*MODULES)}\n}})();\n"
        return write_text(path, text)

    def starter(self, folder: str) -> str:
        """The element that makes a page's live pictures load the script when somebody points at one.

        folder: that of the script, seen from the page.
        """
        address = html.escape(SCRIPT if folder == "." else f"{Path(folder).as_posix()}/{SCRIPT}", quote=True)
        return f"<script>{(STATIC / 'live_start.js').read_text(encoding='utf-8').replace('%SCRIPT%', address)}</script>"

    @cached_property
    def _predictor(self) -> SAM2ImagePredictor:
        return SAM2ImagePredictor(load_model(MODEL, device="cpu", fast=False))


def packed_map(values: np.ndarray) -> dict[str, Any]:
    """Features (C, h, w) float32 in 8 bits: with the least value and the step of each channel."""
    flat = values.reshape(len(values), -1)
    low = flat.min(axis=1)
    step = np.maximum((flat.max(axis=1) - low) / LEVELS, np.finfo(np.float32).tiny)
    levels = np.rint((flat - low[:, None]) / step[:, None]).astype(np.uint8)
    text = {"low": low, "step": step, "levels": levels}
    return {name: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode() for name, array in text.items()}
