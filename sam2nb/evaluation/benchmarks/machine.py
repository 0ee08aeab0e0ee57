"""The machine and the software of a run, for readers of its numbers."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = {"sam2nb": "sam2nb", "official": "sam2", "transformers": "transformers"}


def describe_machine(device: str, roots: Mapping[str, Path]) -> dict[str, Any]:
    """Processor, memory, GPU and versions.

    roots: {label: folder} of the checkouts of sam2nb that take part, whose commits are recorded.
    """
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") and torch.cuda.is_available() else None
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load_before": [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "packages": {name: _version(package) for name, package in PACKAGES.items()},
        "commits": {label: _commit(root) for label, root in roots.items()},
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit(root: Path) -> str | None:
    """The commit of a checkout, with "-dirty" if files have changed since; None if it is not a git checkout."""
    if not (root / ".git").exists():  # a package in site-packages may be inside somebody else's repository
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
