"""The image encoder of SAM 2 run by OpenVINO, behind the same call: faster on processors.

    model = load_model("sam2_hiera_tiny", engine="openvino")                         # the masks of PyTorch
    model = load_model("sam2_hiera_tiny", engine="openvino", precision="int8")       # a little off, far sooner

`SAM2.encode_image` is replaced in place and compiled at its first call (`openvino_files`). The other boxes stay
PyTorch's, which was faster at them where it was measured: OpenVINO took 1.1 times as long over the memory attention in
float32 and 2.1 times in bfloat16. Wherever the encoder cannot be run as it was compiled, PyTorch runs it: with
gradients, with hooks, after its weights have changed, for inputs of another size. The first call runs in both and
compares them, since compiled code differs from processor to processor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sam2nb.devices import fast_half
from sam2nb.model.sam2 import SAM2
from sam2nb.structures import ImageFeatures
from sam2nb.weights.fingerprint import weights_fingerprint

if TYPE_CHECKING:
    import openvino

PRECISIONS = ("float32", "bfloat16", "int8")
FINGERPRINT_DIGITS = 12
# how far the encoder may be from PyTorch: the mean difference as a part of the spread of the values
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2, "int8": 0.3}
INSTALL = "pip install 'sam2nb[openvino]'"

log = logging.getLogger(__name__)


def use_openvino(model: SAM2, precision: str = "float32") -> SAM2:
    """Run the image encoder of a model in OpenVINO, in place.

    precision: "float32" gives the masks of PyTorch; "bfloat16" for processors that multiply it natively; "int8" is
        lossy. With either of these PyTorch computes the rest in bfloat16 where the processor has it.

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
    half = None if precision == "float32" else fast_half(model.device)
    model.compute_dtype = half or torch.float32
    model.encode_image = CompiledEncoder(model, precision, model.encode_image)
    return model


def engine_of(model: SAM2) -> str:
    """Name of what computes a model, and its precision: "torch float32", "openvino int8", …"""
    encoder = model.__dict__.get("encode_image")
    if isinstance(encoder, CompiledEncoder):
        return f"openvino {encoder.precision}"
    return f"torch {str(model.compute_dtype).removeprefix('torch.')}"


class CompiledEncoder:
    """`SAM2.encode_image`, compiled at its first call; `in_torch` is the method that it replaces."""

    def __init__(self, model: SAM2, precision: str, in_torch: Callable[[Tensor], ImageFeatures]) -> None:
        self.model, self.precision, self.in_torch = model, precision, in_torch
        decoder = model.sam_mask_decoder
        self.parts = nn.ModuleList((model.image_encoder, decoder.conv_s0, decoder.conv_s1))
        self.threads = torch.get_num_threads()
        self.lock = Lock()
        self.versions: tuple = ()
        self.failed = self.checked = False

    def __call__(self, pixels: Tensor) -> ImageFeatures:
        """pixels: (B, 3, S, S), normalised; a size other than the model's goes to PyTorch"""
        side = self.model.image_size
        if pixels.shape[1:] != (3, side, side) or not self._runs_here():
            return self.in_torch(pixels)
        try:
            found = self._encode(pixels)
        except Exception as error:  # whatever OpenVINO or its converter raises: PyTorch still works
            self._give_up((str(error).strip() or type(error).__name__).splitlines()[0][:200])
            return self.in_torch(pixels)
        if self.checked:
            return found
        expected = self.in_torch(pixels)
        self._check(found, expected)
        return expected if self.failed else found

    def _encode(self, pixels: Tensor) -> ImageFeatures:
        rows = [self.run(row[None]) for row in pixels]
        embedding, *high_res = (torch.cat(maps).to(self.model.compute_dtype) for maps in zip(*rows, strict=True))
        return ImageFeatures(embedding, self.model.image_position(embedding), tuple(high_res))

    def run(self, pixels: Tensor) -> list[Tensor]:
        """pixels: (1, 3, S, S) -> embedding, and the maps at stride 4 and 8, float32"""
        with self.lock:
            outputs = self._compiled([pixels.detach().float().contiguous().numpy()], share_inputs=True)
            return [torch.from_numpy(outputs[index]) for index in range(len(outputs))]

    def _check(self, found: ImageFeatures, expected: ImageFeatures) -> None:
        """Compare what OpenVINO computed with what PyTorch did, and give up where they differ."""
        self.checked = True
        off = max(map(_difference, _maps(found), _maps(expected)))
        if not off <= TOLERANCE[self.precision]:
            self._give_up(f"openvino differs by {off:.2g} of the values' spread in {self.precision} on this processor")

    def _give_up(self, why: str) -> None:
        self.failed = True
        log.warning("PyTorch computes the image encoder: %s", why)

    @cached_property
    def _compiled(self) -> openvino.CompiledModel:
        from sam2nb.engines.openvino_files import compile_encoder, native_precision

        lossy = self.precision == "int8"
        fingerprint = weights_fingerprint(self.parts)[:FINGERPRINT_DIGITS]
        kind = "int8" if lossy else "float32"
        stem = f"{self.model.config_name}-{fingerprint}-{self.model.image_size}-image_encoder-{kind}"
        self.versions = self._weight_versions()
        # the precision of what is not INT8
        floating = native_precision() if lossy else self.precision
        return compile_encoder(self.model, stem, floating, self._quantise if lossy else None, self.threads)

    def _quantise(self, model: openvino.Model) -> openvino.Model:
        from sam2nb.engines.int8 import quantise

        return quantise(model, self.model.image_size)

    def _runs_here(self) -> bool:
        """Whether the compiled encoder does what PyTorch would do now."""
        if self.failed or torch.jit.is_tracing() or torch.compiler.is_compiling() or self.model.device.type != "cpu":
            return False
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in self.parts.parameters()):
            return False
        if any(module._forward_hooks or module._forward_pre_hooks for module in self.parts.modules()):
            return False
        if self.versions and self.versions != self._weight_versions():
            self._give_up("its weights have changed since it was compiled")
        return not self.failed

    def _weight_versions(self) -> tuple:
        weights = self.parts.parameters()
        return tuple((weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights)

    def __getstate__(self) -> dict[str, Any]:
        """A copy of the model compiles for itself."""
        return {k: v for k, v in self.__dict__.items() if k not in ("lock", "_compiled", "versions", "checked")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=Lock(), versions=(), checked=False)


def _maps(features: ImageFeatures) -> list[Tensor]:
    return [features.embedding, *features.high_res]


def _difference(found: Tensor, expected: Tensor) -> float:
    """The mean difference as a part of the spread of the expected values; infinite where there are no numbers."""
    found, expected = found.float(), expected.float()
    if not found.isfinite().all():
        return float("inf")
    return float((found - expected).abs().mean() / expected.std().clamp(min=1e-6))
