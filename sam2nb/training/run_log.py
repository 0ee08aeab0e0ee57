"""Logs of a run: one CSV line and TensorBoard scalars every few steps, pictures of validation masks."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class RunLog:
    """Appends to `folder/log.csv` (columns: time, phase, step, name, value) and to TensorBoard, where installed."""

    def __init__(self, folder: Path, every: int = 20) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.every = every
        self.sums: dict[str, list[float]] = {}
        self.board = _tensorboard(folder)

    def add(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Collect; every few steps write the means."""
        for name, value in values.items():
            self.sums.setdefault(name, []).append(value)
        if step % self.every == 0:
            self.write(phase, step, {name: sum(seen) / len(seen) for name, seen in self.sums.items()})
            self.sums = {}

    def write(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Write values now."""
        file = self.folder / "log.csv"
        fresh = not file.exists()
        with open(file, "a", newline="") as stream:
            writer = csv.writer(stream)
            if fresh:
                writer.writerow(["time", "phase", "step", "name", "value"])
            writer.writerows([round(time.time()), phase, step, name, f"{value:.6g}"] for name, value in values.items())
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{phase}/{name}", value, step)

    def picture(self, phase: str, step: int, image: NDArray[np.uint8]) -> Path:
        """Keep a picture (h, w, 3) as PNG and for TensorBoard."""
        path = self.folder / f"masks-{phase}-{step:06d}.png"
        Image.fromarray(image).save(path)
        if self.board is not None:
            self.board.add_image(f"{phase}/masks", image, step, dataformats="HWC")
        return path


def _tensorboard(folder: Path):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
