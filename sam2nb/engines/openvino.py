"""The large boxes of SAM 2 run by OpenVINO, behind the same calls: faster on processors, busy ones too.

    model = load_model("sam2_hiera_tiny", engine="openvino")                         # the masks of PyTorch
    model = load_model("sam2_hiera_tiny", engine="openvino", precision="int8")       # a little off, far sooner

The image encoder, the memory attention and the memory encoder are replaced in place, each compiled at its first call
(`openvino_files`). The mask decoder stays PyTorch's, which is faster there. Wherever a box cannot be run as it was
compiled, PyTorch runs it: with gradients, with hooks, after its weights have changed, for inputs of another size. The
first call of a box runs in both and compares them, since compiled code differs from processor to processor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sam2nb.engines.onnx_graphs import exportable
from sam2nb.engines.openvino_graphs import (
    FREE,
    Graph,
    ImageEncoderGraph,
    MemoryAttentionGraph,
    MemoryEncoderGraph,
)
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import ImageFeatures
from sam2nb.weights.fingerprint import weights_fingerprint

if TYPE_CHECKING:
    import openvino

PRECISIONS = ("float32", "bfloat16", "int8")
FINGERPRINT_DIGITS = 12
# how far a box may be from PyTorch: the mean difference as a part of the spread of the values
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2, "int8": 0.3}
INSTALL = "pip install 'sam2nb[openvino]'"

log = logging.getLogger(__name__)


def use_openvino(model: SAM2, precision: str = "float32") -> SAM2:
    """Run the boxes of a model in OpenVINO, in place.

    precision: "float32" gives the masks of PyTorch; "bfloat16" for processors that multiply it natively; "int8" for the
        image encoder (lossy), with bfloat16 elsewhere where the processor has it.

    Without the package `openvino` one warning says so, and PyTorch goes on. Raises ValueError for another precision, or
    a model that is not on a CPU.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if model.device.type != "cpu":
        raise ValueError(f'engine "openvino" runs on processors, and the model is on {model.device}')
    if find_spec("openvino") is None:
        log.warning("the package openvino is missing, PyTorch computes: %s", INSTALL)
        return model
    model.compute_dtype = torch.float32  # of what goes in and comes out
    decoder = model.sam_mask_decoder
    encoder = nn.ModuleList((model.image_encoder, decoder.conv_s0, decoder.conv_s1))
    model.encode_image = ImageEncoderBox(model, encoder, model.encode_image, ImageEncoderGraph, precision)
    for name, graph, kind in (
        ("memory_attention", MemoryAttentionGraph, MemoryAttentionBox),
        ("memory_encoder", MemoryEncoderGraph, MemoryEncoderBox),
    ):
        box = getattr(model, name)
        box.forward = kind(model, box, box.forward, graph, precision)
    return model


def engine_of(model: SAM2) -> str:
    """Name of what computes a model, and its precision: "torch float32", "openvino int8", …"""
    box = model.__dict__.get("encode_image")
    if isinstance(box, Box):
        return f"openvino {box.precision}"
    return f"torch {str(model.compute_dtype).removeprefix('torch.')}"


@dataclass
class Box:
    """A box of a model, compiled at its first call.

    box: the module whose work it does, or several. in_torch: the method that it replaces.
    """

    model: SAM2
    box: nn.Module
    in_torch: Callable[..., Any]
    graph: type[Graph]
    precision: str
    failed: bool = False
    checked: bool = False
    versions: tuple = ()
    threads: int = field(default_factory=torch.get_num_threads)
    lock: Any = field(default_factory=Lock, repr=False)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if not self._runs_here():
            return self.in_torch(*inputs, **named)
        try:
            found = self.compute(*inputs, **named)
        except Exception as error:  # whatever OpenVINO or its converter raises: PyTorch still works
            self._give_up((str(error).strip() or type(error).__name__).splitlines()[0][:200])
            found = None
        if found is not None and self.checked:
            return found
        expected = self.in_torch(*inputs, **named)
        if found is not None:
            self._check(found, expected)
        return expected if self.failed or found is None else found

    def _check(self, found: Any, expected: Any) -> None:
        """Compare what OpenVINO computed with what PyTorch did, and give up where they differ."""
        self.checked = True
        off = max(map(_difference, _tensors(found), _tensors(expected)))
        if not off <= TOLERANCE[self.precision]:
            self._give_up(f"openvino differs by {off:.2g} of the values' spread in {self.precision} on this processor")

    def _give_up(self, why: str) -> None:
        self.failed = True
        log.warning("PyTorch computes the %s: %s", self.graph.name, why)

    def compute(self, *inputs: Any, **named: Any) -> Any:
        """The result of `in_torch`; None for inputs that the box was not compiled for."""
        raise NotImplementedError

    def run(self, *inputs: Tensor) -> list[Tensor] | None:
        """The outputs of the compiled box; None for inputs of another size than it was compiled for."""
        with self.lock:
            if not all(_fits(tensor, shape) for tensor, shape in zip(inputs, self._shapes, strict=True)):
                return None
            arrays = [tensor.detach().float().contiguous().numpy() for tensor in inputs]
            outputs = self._compiled(arrays, share_inputs=True)
            return [torch.from_numpy(outputs[index]) for index in range(len(outputs))]

    @cached_property
    def _shapes(self) -> list[tuple[int, ...]]:
        return self.graph(self.model).shapes()

    @cached_property
    def _compiled(self) -> openvino.CompiledModel:
        from sam2nb.engines.openvino_files import compile_box

        precision = self._floating
        lossy = self.precision == "int8" and self.graph is ImageEncoderGraph
        fingerprint = weights_fingerprint(self.box)[:FINGERPRINT_DIGITS]
        side = self.model.image_size
        kind = "int8" if lossy else "float32"
        stem = f"{self.model.config_name}-{fingerprint}-{side}-{self.graph.name.replace(' ', '_')}-{kind}"
        self.versions = self._weight_versions()
        return compile_box(
            lambda: self.graph(exportable(self.model)), stem, precision, self._quantise(lossy), self.threads
        )

    @property
    def _floating(self) -> str:
        """The precision of what is not INT8."""
        from sam2nb.engines.openvino_files import native_precision

        return native_precision() if self.precision == "int8" else self.precision

    def _quantise(self, lossy: bool) -> Callable:
        if not lossy:
            return lambda model: model
        from sam2nb.engines.int8 import quantise

        return lambda model: quantise(model, self.model.image_size)

    def _runs_here(self) -> bool:
        """Whether the compiled box does what PyTorch would do now."""
        if self.failed or torch.jit.is_tracing() or torch.compiler.is_compiling() or self.model.device.type != "cpu":
            return False
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in self.box.parameters()):
            return False
        if any(module._forward_hooks or module._forward_pre_hooks for module in self.box.modules()):
            return False
        if self.versions and self.versions != self._weight_versions():
            self._give_up("its weights have changed since it was compiled")
        return not self.failed

    def _weight_versions(self) -> tuple:
        weights = self.box.parameters()
        return tuple((weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights)

    def __getstate__(self) -> dict[str, Any]:
        """A copy of the model compiles for itself."""
        return {k: v for k, v in self.__dict__.items() if k not in ("lock", "_compiled", "versions", "checked")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=Lock(), versions=(), checked=False)


class ImageEncoderBox(Box):
    """`SAM2.encode_image`, one image at a time."""

    def compute(self, pixels: Tensor) -> ImageFeatures | None:
        rows = [self.run(pixels[row : row + 1]) for row in range(len(pixels))]
        if any(row is None for row in rows):
            return None
        embedding, stride4, stride8 = (torch.cat(maps) for maps in zip(*rows, strict=True))
        return ImageFeatures(embedding, self.model.image_position(embedding), (stride4, stride8))


class MemoryAttentionBox(Box):
    """`MemoryAttention.forward`, one object at a time."""

    def compute(
        self,
        tokens: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        size_hw: tuple[int, int],
        num_pointer_tokens: int,
    ) -> Tensor | None:
        if not num_pointer_tokens:
            return None
        maps = memory.shape[1] - num_pointer_tokens
        rows = []
        for row in range(len(memory)):
            one = [part[row % len(part)][None] for part in (tokens, memory, memory_position)]
            parts = [half for part in one[1:] for half in (part[:, :maps], part[:, maps:])]
            found = self.run(one[0], position, parts[0], parts[2], parts[1], parts[3])
            if found is None:
                return None
            rows += found
        return torch.cat(rows)


class MemoryEncoderBox(Box):
    """`MemoryEncoder.forward`, one object at a time."""

    def compute(self, embedding: Tensor, mask: Tensor) -> Tensor | None:
        rows = [self.run(embedding[row % len(embedding)][None], one[None]) for row, one in enumerate(mask)]
        return None if any(row is None for row in rows) else torch.cat([row[0] for row in rows])


def _fits(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    pairs = zip(tensor.shape, shape, strict=False)
    return tensor.ndim == len(shape) and all(wanted in (FREE, size) for size, wanted in pairs)


def _tensors(found: Tensor | ImageFeatures) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [found.embedding, *found.high_res]


def _difference(found: Tensor, expected: Tensor) -> float:
    """The mean difference as a part of the spread of the expected values; infinite where there are no numbers."""
    if not found.isfinite().all():
        return float("inf")
    return float((found - expected).abs().mean() / expected.std().clamp(min=1e-6))
