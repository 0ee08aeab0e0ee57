"""Devices, and the precision that suits them."""

from __future__ import annotations

import platform

import torch

AMPERE = (8, 0)  # compute capability of the first GPUs with units for bfloat16


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device asked for, or the best one here (CUDA, then Apple's MPS, then CPU).

    Raises ValueError if the device asked for is not available.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f'device must be "cpu", "cuda", "cuda:1", "mps", …, got {device!r}') from error
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}.get(device.type, lambda: True)
    if not there():
        raise ValueError(f'device {str(device)!r} is not available here; device="cpu" always works')
    return device


def pick_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return the precision asked for: None takes float32 on a CPU, "auto" and other devices what `fast_half` says.

    Raises ValueError for anything but float32, bfloat16 and float16.
    """
    if dtype is None and device.type == "cpu":
        return torch.float32
    if dtype in (None, "auto"):
        return fast_half(device) or torch.float32
    wanted = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if wanted not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f'dtype must be "auto", "float32", "bfloat16" or "float16", got {dtype!r}')
    return wanted


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
