"""Peak memory of a piece of work, beyond what was in use before it.

    with PeakMemory() as peak:
        masks = generator.generate(image)
    peak.bytes

On a GPU torch counts every allocation. In main memory Linux keeps the high-water mark of the process; elsewhere a
thread reads its size every few milliseconds, so a very short peak may be missed.
"""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import torch

SAMPLE_SECONDS = 0.003  # between two readings of the thread
TOLERANCE = 8 * 2**20  # bytes by which the high-water mark may exceed the size of the process right after its reset
RESET_FILE, STATUS_FILE = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_HIGH_WATER_MARK = "5"  # see proc(5)


class PeakMemory:
    """A context manager that measures the peak between entry and exit. Do not nest two on the same memory.

    device: "cuda" measures the GPU memory that torch has allocated, anything else the main memory of this process.

    After the block, in bytes: `before` was in use at entry, `highest` at the peak; `bytes` is the difference.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.before = self.highest = 0
        self._sampler: _Sampler | None = None

    @property
    def bytes(self) -> int:
        """The peak beyond what was in use before."""
        return self.highest - self.before

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif not _reset_high_water_mark():
            self._sampler = _Sampler()
            self._sampler.start()
        self.before = self.highest = memory_in_use(self.device)
        return self

    def __exit__(self, *_error: object) -> None:
        if self.device.type == "cuda":
            highest = torch.cuda.max_memory_allocated(self.device)
        elif self._sampler is not None:
            highest = self._sampler.stop()
        else:
            highest = _high_water_mark()
        self.highest = max(self.before, highest)


def memory_in_use(device: str | torch.device = "cpu") -> int:
    """Bytes that torch has allocated on the GPU, or the resident memory of this process."""
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


class _Sampler:
    """A thread that follows the size of the process."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._highest = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._highest

    def _watch(self) -> None:
        while True:
            finished = self._done.wait(SAMPLE_SECONDS)
            self._highest = max(self._highest, self._process.memory_info().rss)
            if finished:
                return


def _reset_high_water_mark() -> bool:
    """Reset the high-water mark to the present size; False if this system has none, or ignores the reset."""
    try:
        RESET_FILE.write_text(RESET_HIGH_WATER_MARK)
        return _high_water_mark() - memory_in_use() < TOLERANCE
    except (OSError, IndexError, ValueError):
        return False


def _high_water_mark() -> int:
    return int(STATUS_FILE.read_text().split("VmHWM:")[1].split()[0]) * 1024
