"""Image encoders compiled by OpenVINO, and the files that keep them: a minute once, then a second.

The files lie in a folder `openvino` beside the checkpoints, under a name made of the weights' fingerprint, the input
size, the precision and OpenVINO's version. Deleting them costs that minute and nothing else.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sam2nb.engines.onnx_graphs import exportable
from sam2nb.model.sam2 import SAM2
from sam2nb.weights.registry import checkpoint_folder

if TYPE_CHECKING:
    import openvino

FOLDER = "openvino"
HINTS = {"float32": "f32", "bfloat16": "bf16"}
NO_TELEMETRY = {"CI": "true", "NNCF_CI": "1"}  # as in tests of OpenVINO and NNCF: nothing is sent

log = logging.getLogger(__name__)


def openvino_folder() -> Path:
    """The folder of the compiled encoders."""
    return checkpoint_folder() / FOLDER


def native_precision() -> str:
    """The precision that this processor multiplies fastest without integers: "bfloat16" or "float32"."""
    with no_telemetry():
        import openvino
    has_bfloat16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bfloat16" if has_bfloat16 else "float32"


class ImageEncoderGraph(nn.Module):
    """`SAM2.encode_image` as a function of plain tensors: pixels (1, 3, S, S) -> embedding, and the two finer maps"""

    def __init__(self, model: SAM2) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features = self.model.encode_image(pixels)
        return (features.embedding, *features.high_res)


def compile_encoder(
    model: SAM2,
    stem: str,
    precision: str,
    quantise: Callable[[openvino.Model], openvino.Model] | None,
    threads: int,
) -> openvino.CompiledModel:
    """The image encoder of a model, compiled for this processor; from its file, if it has one.

    stem: of the file's name. precision: what it computes in, "float32" or "bfloat16". quantise: applied before the file
    is written. threads: that it may use.
    """
    with no_telemetry():
        import openvino
    folder = openvino_folder()
    file = folder / f"{stem}-{openvino.__version__.split('-')[0]}.xml"
    core = openvino.Core()
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,  # a core may be taken by another program
    }
    if not file.is_file():
        log.warning("openvino prepares %s, once; it is kept in %s", stem, folder)
        converted = convert(model)
        if quantise is not None:
            converted = quantise(converted)
        try:
            _write(converted, file)
        except OSError as error:
            log.warning("openvino cannot keep it: %s", error)
            return core.compile_model(converted, "CPU", settings)
    # a folder for each precision and number of threads: OpenVINO would take one for the other
    cache = {"CACHE_DIR": str(folder / "compiled" / f"{precision}-{threads}"), "CACHE_MODE": "OPTIMIZE_SPEED"}
    return core.compile_model(str(file), "CPU", {**settings, **cache})


def convert(model: SAM2) -> openvino.Model:
    """The image encoder as a model of OpenVINO, in float32."""
    with no_telemetry(), warnings.catch_warnings(), torch.no_grad(), torch.autocast("cpu", enabled=False):
        warnings.simplefilter("ignore")  # that shapes become constants is what fixed sizes mean
        import openvino

        shape = (1, 3, model.image_size, model.image_size)
        traced = torch.jit.trace(ImageEncoderGraph(exportable(model)), torch.zeros(shape), check_trace=False)
        level = logging.root.level
        try:
            return openvino.convert_model(traced, input=[openvino.PartialShape(list(shape))])
        finally:
            logging.root.setLevel(level)  # the converter sets it


def _write(model: openvino.Model, file: Path) -> None:
    """Write a model's two files, the one that says that it is there last."""
    import openvino

    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        part = Path(folder) / file.name
        openvino.serialize(model, str(part))
        for suffix in (".bin", ".xml"):
            os.replace(part.with_suffix(suffix), file.with_suffix(suffix))


@contextmanager
def no_telemetry() -> Iterator[None]:
    """Send no statistics of use, which OpenVINO's converter and NNCF do where a variable does not forbid it."""
    before = {name: os.environ.get(name) for name in NO_TELEMETRY}
    os.environ.update(NO_TELEMETRY)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
