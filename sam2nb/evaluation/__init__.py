"""Mask metrics, labelled data, evaluation protocols and benchmarks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Looked up on first use: metrics must not bring torch, nor protocols the benchmarks.
_HOMES = {
    "mask_iou": "sam2nb.evaluation.metrics",
    "boundary_f": "sam2nb.evaluation.metrics",
    "j_and_f": "sam2nb.evaluation.metrics",
    "evaluate_images": "sam2nb.evaluation.protocols",
    "evaluate_video": "sam2nb.evaluation.protocols",
    "benchmark": "sam2nb.evaluation.benchmarks.run",
}
__all__ = ["benchmark", "boundary_f", "evaluate_images", "evaluate_video", "j_and_f", "mask_iou"]

if TYPE_CHECKING:
    from sam2nb.evaluation.benchmarks.run import benchmark
    from sam2nb.evaluation.metrics import boundary_f, j_and_f, mask_iou
    from sam2nb.evaluation.protocols import evaluate_images, evaluate_video


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
