"""Half precision: which one a device computes in faster than in float32."""

from __future__ import annotations

import platform

import torch

AMPERE = (8, 0)  # compute capability of the first GPUs with units for bfloat16


def fast_half(device: torch.device) -> torch.dtype | None:
    """The half precision in which a device is fast; None where it is not.

    A GPU has bfloat16 or float16. A processor has bfloat16 where it multiplies it natively (AVX-512 BF16, AMX, and
    Arm's): encoding is then 1.3 to 2.7 times as fast as in float32, elsewhere slower.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= AMPERE else torch.float16
    if device.type == "mps":
        return None
    return torch.bfloat16 if _multiplies_bfloat16() else None


def _multiplies_bfloat16() -> bool:
    if platform.machine().lower() in ("arm64", "aarch64"):
        return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check)() for check in checks if hasattr(torch.cpu, check))
