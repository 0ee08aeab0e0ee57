"""What a run keeps: weights, their moving average, the optimiser, where it is. A kill cannot harm the file."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

LAST = "last.pt"


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is not a number any more. The weights before that step are saved."""


@dataclass
class Progress:
    """Where a run is: the phase, the step within it, and the steps of all phases so far."""

    phase: int = 0
    step: int = 0
    total: int = 0


class MovingAverage:
    """An exponential moving average of a model's weights (EMA): calmer than the weights themselves."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Young averages follow faster, so that the random start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        own, new = list(self.model.parameters()), [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(own, new, 1 - decay)


def save_state(folder: Path, progress: Progress, model: nn.Module, average: MovingAverage, optimiser) -> Path:
    """Write `folder/last.pt` in one move: a kill leaves the old file or the new one, never half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "progress": vars(progress),
        "model": model.state_dict(),
        "average": average.model.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    partial = folder / f"{LAST}.partial"
    torch.save(state, partial)
    os.replace(partial, folder / LAST)
    return folder / LAST


def load_state(folder: Path) -> dict | None:
    """The state of a run, None if it has none yet; ValueError for a file that is no such state."""
    file = folder / LAST
    if not file.exists():
        return None
    state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not {"progress", "model", "average", "optimiser"} <= set(state):
        raise ValueError(f"{file} is not the state of a training run; delete it to start afresh")
    return state
