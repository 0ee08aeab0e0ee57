"""The log of a run: losses as CSV and TensorBoard scalars, and images of the validation masks."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

STEPS_PER_ENTRY = 20  # the means of this many steps make one entry


class RunLog:
    """The log in `folder/log.csv` (columns: time, phase, step, name, value) and, if it is installed, in TensorBoard."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.collected: dict[str, list[float]] = {}
        self.board = _tensorboard(folder)

    def add(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Collect the values of one step; writes their means every STEPS_PER_ENTRY steps."""
        for name, value in values.items():
            self.collected.setdefault(name, []).append(value)
        if step % STEPS_PER_ENTRY == 0:
            self.write(phase, step, {name: sum(seen) / len(seen) for name, seen in self.collected.items()})
            self.collected = {}

    def write(self, phase: str, step: int, values: dict[str, float]) -> None:
        """Write values at once."""
        file = self.folder / "log.csv"
        is_new = not file.exists()
        with open(file, "a", newline="") as stream:
            writer = csv.writer(stream)
            if is_new:
                writer.writerow(["time", "phase", "step", "name", "value"])
            writer.writerows([round(time.time()), phase, step, name, f"{value:.6g}"] for name, value in values.items())
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{phase}/{name}", value, step)

    def image(self, phase: str, step: int, image: NDArray[np.uint8]) -> Path:
        """Keep an image (H, W, 3) as a PNG file and for TensorBoard."""
        path = self.folder / f"masks-{phase}-{step:06d}.png"
        Image.fromarray(image).save(path)
        if self.board is not None:
            self.board.add_image(f"{phase}/masks", image, step, dataformats="HWC")
        return path


def _tensorboard(folder: Path) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
