"""The part of a model that a browser runs: the mask decoder as ONNX, and the features of an image.

A view of a PromptWidget asks for them when it is open, in three messages: what there is (`offer`), the files, the
features. Files are made once per model and kept beside the checkpoints. Where anything is missing, one line says so and
Python answers, as it does for functions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam2nb.engines.onnx_export import OPSET, export_graph, optimised
from sam2nb.engines.onnx_facts import facts_of
from sam2nb.engines.onnx_graphs import ImageMaskDecoderGraph, exportable
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.encoding import EncodedImage
from sam2nb.predict.image import SAM2ImagePredictor
from sam2nb.structures import INCLUDE_LABEL, Prompts
from sam2nb.weights.fingerprint import weights_fingerprint
from sam2nb.weights.npm import PackageError
from sam2nb.whole_file import whole_file
from sam2nb.widgets.bundle import joined
from sam2nb.widgets.ort_web import NAME, browser_folder, ort_web_here

WORKER_MODULES = ("decode", "masks", "worker")
MAPS = ("conditioned", "stride4", "stride8")  # of the features, in the order in which they are sent
FILES_KEPT = 4  # decoders of different weights, 16 MB each; the oldest are removed
FINGERPRINT_DIGITS = 12
AGREES = 0.02  # of the pixels of a mask that may differ: half precision rounds some
INSTALL = (
    "To see masks while Python is busy, too: pip install 'sam2nb[browser]', then python -m sam2nb download " + NAME
)


class BrowserModel:
    """Replies to a view that wants to decode prompts by itself.

    predictor: whose image is set; None for answers of a function, which only Python can give.
    """

    def __init__(self, predictor: SAM2ImagePredictor | None) -> None:
        self.predictor = predictor

    def reply(self, content: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """The answer to a message: content, and buffers. A "missing" in it says in one line why there is no more."""
        if self.predictor is None:
            return {"missing": ""}, []
        parts = {"offer": self._offer, "files": self._files, "features": self._features}
        try:
            return parts[content["part"]](bool(content.get("gpu")))
        except (ImportError, PackageError):
            return {"missing": INSTALL}, []
        except Exception as problem:  # whatever exporters raise, for models that nobody has seen yet
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            return {"missing": f"The browser cannot run this model by itself, Python answers: {reason}"}, []

    def _offer(self, gpu: bool) -> tuple[dict[str, Any], list[bytes]]:
        model = self.predictor.model
        if ort_web_here(gpu) is None:
            raise ImportError(NAME)
        file = decoder_file(model)
        if not _agrees(file, self.predictor):
            raise ValueError("its decoder was changed after loading")
        facts = {**facts_of(model, {}, "float32", OPSET), "mask_threshold": self.predictor.mask_threshold}
        return {"key": f"{file.stem}{'-webgpu' if gpu else ''}", "facts": facts}, []

    def _files(self, gpu: bool) -> tuple[dict[str, Any], list[bytes]]:
        runtime = ort_web_here(gpu)
        if runtime is None:
            raise ImportError(NAME)
        decoder = decoder_file(self.predictor.model).read_bytes()
        return {"worker": joined(*WORKER_MODULES), "code": runtime.code}, [runtime.wasm, decoder]

    def _features(self, _gpu: bool) -> tuple[dict[str, Any], list[bytes]]:
        image = self.predictor.images[0]
        height, width = image.size_hw
        buffers = [values.astype("<f2").tobytes() for values in features_of(image).values()]
        return {"maps": list(MAPS), "width": width, "height": height}, buffers


def decoder_file(model: SAM2) -> Path:
    """The mask decoder of a model for browsers, an .onnx file with float32 weights, made where there is none.

    Raises ImportError without the packages for ONNX, ExportError for a model that cannot be exported.
    """
    stem = f"{Path(model.config_name).stem}-{model.image_size}-{weights_fingerprint(model)[:FINGERPRINT_DIGITS]}"
    file = browser_folder() / f"{stem}.onnx"
    if not file.is_file():
        with tempfile.TemporaryDirectory() as folder:
            traced = Path(folder) / file.name
            export_graph(ImageMaskDecoderGraph(exportable(model)), traced)
            content = optimised(traced)
        with whole_file(file) as part:
            part.write_bytes(content)
        for old in sorted(file.parent.glob("*.onnx"), key=lambda path: path.stat().st_mtime)[:-FILES_KEPT]:
            old.unlink(missing_ok=True)
    return file


def features_of(image: EncodedImage) -> dict[str, np.ndarray]:
    """The features of an image that the mask decoder reads, by the names of its inputs, float32."""
    maps = (image.conditioned, *image.features.high_res)
    return {name: value.detach().float().cpu().numpy() for name, value in zip(MAPS, maps, strict=True)}


def _agrees(file: Path, predictor: SAM2ImagePredictor) -> bool:
    """Whether the file gives the model's masks for a click in the middle: hooks and new layers are not in it."""
    import onnxruntime

    model, side = predictor.model, predictor.model.image_size
    points, labels = torch.full((1, 1, 2), side / 2), torch.full((1, 1), INCLUDE_LABEL)
    prompts = Prompts(points.to(model.device), labels.to(model.device), None)
    expected = predictor.predict_prompts(prompts).logits.cpu().numpy()
    size = expected.shape[-2:]
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    no_mask = {"mask_input": np.zeros((1, 1, *size), np.float32), "has_mask": np.zeros((1, 1), bool)}
    given = {**features_of(predictor.images[0]), "points": points.numpy(), "labels": labels.numpy(), **no_mask}
    [logits] = session.run(["logits"], given)
    return bool(((logits[:, 1:] > 0) != (expected > 0)).mean() <= AGREES)
