"""Write a model as ONNX files, checked against PyTorch, with a page of facts beside them.

The files and their shapes are listed in `onnx_graphs`; `model.json` says the same for one model, and whatever else a
program that has only the files must know. Needs `pip install sam2nb[onnx]`.

Writes with the exporter of PyTorch that traces (`dynamo=False`), since it needs no further package and gives the same
files from PyTorch 2.4 to 2.14. Half precision halves the files, not the precision of the computation: weights are
stored as float16 and become float32 when a file is opened, so that every runtime and device can read it.
"""

from __future__ import annotations

import inspect
import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from sam2nb.engines.onnx_facts import facts_of, shapes_of
from sam2nb.engines.onnx_graphs import Graph, exportable, graphs_of
from sam2nb.engines.real_rope import COSINE, SINE
from sam2nb.model.sam2 import SAM2

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17  # the first with layer normalisation; understood by every onnxruntime since 1.12
PRECISIONS = ("float32", "float16")
# how far onnxruntime may be from PyTorch, as a part of the largest value; memories are rounded to bfloat16
TOLERANCE = {"float32": 4e-3, "float16": 2e-2}
SMALLEST = 1024  # values: smaller tensors stay float32, they are many but weigh nothing
FACTS = "model.json"
INSTALL = "ONNX files need two packages more: pip install 'sam2nb[onnx]'"

log = logging.getLogger(__name__)


class Traceable(TorchFunctionMode):
    """Help the exporter over two operations while it traces.

    Behind an `unflatten` it forgets that the other axes are free, so that becomes a reshape. It rounds the quotient of
    a negative size towards zero, so sizes with a minus, which occur on fixed grids only, become plain numbers.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is torch.Tensor.__neg__ and args[0].ndim == 0 and not args[0].is_floating_point():
            return -int(args[0])
        if func is not torch.Tensor.unflatten:
            return func(*args, **(kwargs or {}))
        tensor, axis, sizes = args
        axis %= tensor.ndim
        return tensor.reshape(*tensor.shape[:axis], *sizes, *tensor.shape[axis + 1 :])


class ExportError(RuntimeError):
    """A file computes something else than the model."""


def export_onnx(model: SAM2, folder: str | Path, dtype: str = "float32") -> list[Path]:
    """Write a model's boxes as .onnx files into a folder, with model.json, and return the files.

    model: for the input size that the files will have; of one without weights for video, only the image encoder and the
        mask decoder are written. dtype: "float32", or "float16" for files of half the size.

    Raises ValueError for another dtype, ImportError without onnx, ExportError where onnxruntime computes other values.
    """
    if dtype not in PRECISIONS:
        raise ValueError(f"dtype must be one of {', '.join(PRECISIONS)} for ONNX, got {dtype!r}")
    _import_onnx()
    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"the target of an ONNX export is a folder, and {folder} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    written, parts = [], {}
    for graph in graphs_of(exportable(model)):
        path = folder / f"{graph.name}.onnx"
        difference = export_graph(graph, path, dtype)
        parts[graph.name] = {**shapes_of(path), "difference": float(f"{difference:.2g}")}
        written.append(path)
    facts = folder / FACTS
    facts.write_text(json.dumps(facts_of(model, parts, dtype, OPSET), indent=2) + "\n", encoding="utf-8")
    return [*written, facts]


def export_graph(graph: Graph, path: Path, dtype: str = "float32") -> float:
    """Write one box as a file, checked against PyTorch; -> how far it is from it, as a part of the largest value

    Raises ImportError and ExportError as `export_onnx` does.
    """
    onnx = _import_onnx()
    inputs = _trace(graph, path)
    if dtype == "float16":
        file = onnx.load(path)
        _halve_weights(file)
        onnx.save(file, path)
    onnx.checker.check_model(str(path), full_check=True)
    difference = _largest_difference(graph, path, inputs)
    if not difference <= TOLERANCE[dtype]:
        raise ExportError(f"{path.name} differs from PyTorch by {difference:.2g} of the largest value")
    return difference


def optimised(path: Path) -> bytes:
    """An .onnx file after those optimisations of onnxruntime that serve every CPU: a browser need not repeat them."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / path.name)
        options.log_severity_level = 3  # warns that the file suits machines like this one; layouts are left out
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return (Path(folder) / path.name).read_bytes()


def _import_onnx() -> Any:
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ImportError(INSTALL) from error
    return onnx


@torch.no_grad()
def _trace(graph: Graph, path: Path) -> dict[str, torch.Tensor]:
    """Write one graph; -> the inputs it was traced with"""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inputs = graph.example()
    # releases before 2.5 know this exporter only
    legacy = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings(), Traceable():
        warnings.simplefilter("ignore")  # that shapes become constants is what fixed sizes mean
        torch.onnx.export(
            graph,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(graph.outputs),
            dynamic_axes=graph.free,
            opset_version=OPSET,
            **legacy,
        )
    return inputs


def _halve_weights(file: ModelProto) -> None:
    """Store large float32 weights as float16, in place, each followed by a cast that undoes it on loading."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in file.graph.initializer:
        values = numpy_helper.to_array(weight)
        exact = COSINE in weight.name or SINE in weight.name
        if values.dtype == np.float32 and values.size >= SMALLEST and not exact:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *file.graph.node]
    del file.graph.node[:]
    file.graph.node.extend(nodes)


def _largest_difference(graph: Graph, path: Path, inputs: dict[str, torch.Tensor]) -> float:
    """Between PyTorch and onnxruntime, over all outputs, as a fraction of the largest value of each."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        expected = [value.numpy() for value in graph(*inputs.values())]
    return max(
        float(np.abs(value - right).max() / np.abs(right).max()) for value, right in zip(found, expected, strict=True)
    )
