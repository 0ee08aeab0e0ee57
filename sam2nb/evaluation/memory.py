"""How much memory a piece of work takes at its worst, beyond what was in use before.

    with PeakMemory() as peak:
        masks = generator.generate(image)
    peak.bytes

On a GPU torch counts exactly. For the main memory a thread looks every few milliseconds, so very short peaks may be
missed.
"""

from __future__ import annotations

import threading

import psutil
import torch

LOOK_EVERY_SECONDS = 0.003


class PeakMemory:
    """Measures between `with` and its end. device: "cuda" counts the GPU's memory, anything else the process's own."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.on_gpu = torch.device(device).type == "cuda"
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
            return self
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        if self.on_gpu:
            self.bytes = torch.cuda.max_memory_allocated() - self._before
            return
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while True:
            finished = self._done.wait(LOOK_EVERY_SECONDS)
            self.bytes = max(self.bytes, self._process.memory_info().rss - self._before)
            if finished:
                return
