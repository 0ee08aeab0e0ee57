"""The saved state of a run, written atomically: an interrupted run leaves the old file or the new one."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

logger = logging.getLogger(__name__)

LAST = "last.pt"


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is no longer finite. The weights before that step are saved."""


@dataclass
class Progress:
    """How far a run is: the phase, the step within it, and the steps of all phases together."""

    phase: int = 0
    step: int = 0
    total: int = 0

    def advance(self) -> None:
        """Count one step."""
        self.step += 1
        self.total += 1

    def next_phase(self) -> None:
        """Begin the next phase at its first step."""
        self.phase += 1
        self.step = 0


class MovingAverage:
    """An exponential moving average of a model's weights (EMA), steadier than the weights themselves."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights, faster in the first steps, so that the random start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        own, new = list(self.model.parameters()), [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(own, new, 1 - decay)


Settings = Mapping[str, str | int | float]  # of a run, by name


def save_state(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    average: MovingAverage,
    optimiser: Optimizer,
    settings: Settings | None = None,
) -> Path:
    """Write `folder/last.pt` by renaming a complete file, so that no half-written one is ever found there."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "progress": vars(progress),
        "model": model.state_dict(),
        "average": average.model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "settings": dict(settings or {}),
    }
    partial = folder / f"{LAST}.partial"
    torch.save(state, partial)
    os.replace(partial, folder / LAST)
    return folder / LAST


def load_state(folder: Path) -> dict[str, Any] | None:
    """The saved state of a run, None if there is none; ValueError if the file is not the state of a run."""
    file = folder / LAST
    if not file.exists():
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{file} is damaged; delete it to start afresh") from error
    if not isinstance(state, dict) or not {"progress", "model", "average", "optimiser"} <= set(state):
        raise ValueError(f"{file} is not the state of a training run; delete it to start afresh")
    return state


def restore(
    folder: Path, model: nn.Module, average: MovingAverage, settings: Settings | None = None
) -> tuple[Progress, dict[str, Any] | None]:
    """Load the saved weights, if any -> progress, and the optimiser's state if a phase was interrupted.

    Raises ValueError if the folder holds the run of another model, or one with other settings.
    """
    saved = load_state(folder)
    if saved is None:
        return Progress(), None
    for name, value in (settings or {}).items():
        before = saved.get("settings", {}).get(name)
        if before != value:
            raise ValueError(
                f"the run in {folder} had {name} {before}, this one has {value}: give another folder, or delete it"
            )
    progress = Progress(**saved["progress"])
    try:
        model.load_state_dict(saved["model"])
    except RuntimeError as error:
        raise ValueError(f"the run in {folder} trained another model; delete it or choose another folder") from error
    average.model.load_state_dict(saved["average"])
    logger.info("continuing at phase %d, step %d", progress.phase, progress.step)
    return progress, saved["optimiser"] if progress.step > 0 else None
