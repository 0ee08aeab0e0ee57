"""The loop: phases of steps, with checkpoints that let a killed run go on exactly where it was.

One device or several: Hugging Face Accelerate places, wraps and synchronises (https://huggingface.co/docs/accelerate).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.batches import generator
from sam2nb.training.losses import total
from sam2nb.training.run_log import RunLog
from sam2nb.training.run_state import MovingAverage, Progress, TrainingDiverged, load_state, save_state
from sam2nb.training.step import TrainingStep

logger = logging.getLogger(__name__)

PICTURES, CONVERSATION = 0, 1  # what a step's two generators are for: its batch, and the prompts within it

MakeBatch = Callable[[np.random.Generator, Mapping[str, Any], int], Any]
Validate = Callable[[nn.Module, RunLog, str, int], None]


def train(
    step: TrainingStep,
    phases: Sequence[Mapping[str, Any]],
    make_batch: MakeBatch,
    folder: str | Path,
    *,
    seed: int = 0,
    ema: float = 0.999,
    clip_gradient: float = 1.0,
    weight_decay: float = 0.02,
    save_minutes: float = 3.0,
    mixed_precision: str = "no",
    validate: Validate | None = None,
    validate_every: int = 500,
    stop_after: int | None = None,
    begin_phase: Callable[[SAM2, Mapping[str, Any]], None] | None = None,
    device: str | torch.device | None = None,
    workers: int = 0,
) -> MovingAverage:
    """Train through all phases; go on from `folder/last.pt` if there is one. Returns the averaged model.

    make_batch: (generator, phase, step) -> batch. begin_phase: changes the model where a phase
    begins. stop_after: end early after so many steps (state is saved). workers: processes that make batches ahead;
    which batch belongs to which step does not depend on them.
    Ctrl-C saves and re-raises. Raises TrainingDiverged when a loss or gradient is not finite.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs

    folder = Path(folder)
    cpu = device is not None and torch.device(device).type == "cpu"
    accelerator = Accelerator(
        mixed_precision=mixed_precision,
        cpu=cpu,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    average = MovingAverage(step.model, ema)
    progress, saved = Progress(), load_state(folder)
    if saved is not None:
        progress = Progress(**saved["progress"])
        try:
            step.model.load_state_dict(saved["model"])
        except RuntimeError as error:
            raise ValueError(
                f"the run in {folder} trained another model; delete it or choose another folder"
            ) from error
        average.model.load_state_dict(saved["average"])
        logger.info("going on at phase %d, step %d", progress.phase, progress.step)
    average.model.to(accelerator.device)
    log = RunLog(folder)
    left = math.inf if stop_after is None else stop_after
    while progress.phase < len(phases) and left > 0:
        phase = phases[progress.phase]
        if progress.step == 0:  # a phase begins from the averaged weights of the one before
            step.model.load_state_dict(average.model.state_dict())
            if begin_phase is not None:
                begin_phase(step.model, phase)
            average.model.load_state_dict(step.model.state_dict())
        optimiser = make_optimiser(step.model, phase["rates"], weight_decay)
        wrapped, optimiser = accelerator.prepare(step, optimiser)
        if saved is not None and progress.step > 0:
            optimiser.load_state_dict(saved["optimiser"])
        saved = None
        run = PhaseRun(accelerator, wrapped, step.model, average, optimiser, log, progress, folder)
        left -= run.steps(
            phase, make_batch, seed=seed, clip_gradient=clip_gradient, save_seconds=60 * save_minutes, limit=left,
            validate=validate, validate_every=validate_every, workers=workers,
        )  # fmt: skip
        if progress.step >= phase["steps"]:
            progress.phase, progress.step = progress.phase + 1, 0
            run.save()
        accelerator.free_memory()
    return average


class StepBatches(Dataset):
    """The batches of one phase from where it stands; item i is that of the i-th step from now."""

    def __init__(self, make_batch, phase, seed: int, process: int, progress: Progress, limit: float) -> None:
        self.make_batch, self.phase, self.seed, self.process = make_batch, phase, seed, process
        self.step, self.total = progress.step, progress.total
        self.count = max(0, min(phase["steps"] - progress.step, limit))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if index >= self.count:
            raise IndexError(index)
        rng = generator(self.seed, self.total + index, PICTURES, self.process)
        return self.make_batch(rng, self.phase, self.step + index)


class PhaseRun:
    """One phase on its way; the objects a step needs, kept together."""

    def __init__(self, accelerator, wrapped, model, average, optimiser, log, progress: Progress, folder: Path) -> None:
        self.accelerator = accelerator
        self.wrapped = wrapped
        self.model = model
        self.average = average
        self.optimiser = optimiser
        self.log = log
        self.progress = progress
        self.folder = folder
        self.main = accelerator.is_main_process

    def steps(
        self, phase, make_batch, *, seed, clip_gradient, save_seconds, limit, validate, validate_every, workers
    ) -> int:  # fmt: skip
        """Run until the phase ends or `limit` is reached; returns how many steps were taken."""
        taken, saved_at = 0, time.monotonic()
        bar = tqdm(total=phase["steps"], initial=self.progress.step, desc=phase["name"], mininterval=5)
        self.model.train()
        process = self.accelerator.process_index
        source = StepBatches(make_batch, phase, seed, process, self.progress, limit)
        try:
            for batch in DataLoader(source, batch_size=None, num_workers=workers):
                rng = generator(seed, self.progress.total, CONVERSATION, process)
                losses = self.one(phase, batch, rng, clip_gradient)
                self.progress.step += 1
                self.progress.total += 1
                taken += 1
                bar.update()
                self.log.add(phase["name"], self.progress.step, losses)
                if time.monotonic() - saved_at > save_seconds:
                    self.save()
                    saved_at = time.monotonic()
                if validate is not None and self.main and self.progress.step % validate_every == 0:
                    validate(self.average.model, self.log, phase["name"], self.progress.step)
        finally:  # the end, Ctrl-C or a loss that is not a number: the weights are those of the last good step
            bar.close()
            self.save()
        return taken

    def one(self, phase, batch, rng: np.random.Generator, clip_gradient: float) -> dict[str, float]:
        """One optimisation step -> losses as numbers. The weights change only if everything is finite."""
        rate = schedule(self.progress.step, phase["steps"], phase.get("warmup", 0))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate
        self.optimiser.zero_grad(set_to_none=True)
        with self.accelerator.autocast():
            losses = self.wrapped(to_device(batch, self.accelerator.device), rng, phase)
            loss = total(losses)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(trained_parameters(self.optimiser), clip_gradient)
        numbers = {name: float(value.detach()) for name, value in losses.items()}
        scaled = self.accelerator.scaler is not None  # float16: an infinite norm is skipped by the scaler
        value = float(loss.detach())
        if not math.isfinite(value) or not (scaled or math.isfinite(float(norm))):
            bad = [name for name, value in numbers.items() if not math.isfinite(value)] or ["gradient"]
            raise TrainingDiverged(
                f"{', '.join(bad)} not finite at step {self.progress.step} of phase {phase['name']!r}; the weights "
                f"before it are in {self.folder}. Lower its `rates`, or look at that batch (seeded by the step)"
            )
        self.optimiser.step()
        self.average.update(self.model, self.progress.total)
        return numbers | {"loss": value, "gradient": float(norm), "rate": rate}

    def save(self) -> None:
        if self.main:
            save_state(self.folder, self.progress, self.model, self.average, self.optimiser)


def make_optimiser(model: nn.Module, rates: Mapping[str, float], weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over the parameters whose names contain a key of `rates` (the longest key wins); all others rest."""
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        key = max((key for key in rates if key in name), key=len, default=None)
        parameter.requires_grad_(key is not None)
        if key is not None:
            groups.setdefault((key, parameter.ndim >= 2 and "embed" not in name), []).append(parameter)
    if not groups:
        raise ValueError(f"rates={dict(rates)}: no parameter's name contains any of these keys")
    return torch.optim.AdamW(
        [
            {"params": found, "lr": rates[key], "peak": rates[key], "weight_decay": weight_decay if decayed else 0.0}
            for (key, decayed), found in groups.items()
        ]
    )


def trained_parameters(optimiser) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a half cosine down to a hundredth, as part of the peak rate."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def to_device(item: Any, device: torch.device) -> Any:
    """Move every tensor of a (nested) batch."""
    if isinstance(item, torch.Tensor):
        return item.to(device)
    if isinstance(item, tuple):
        return tuple(to_device(part, device) for part in item)
    if hasattr(item, "__dataclass_fields__"):
        return type(item)(**{name: to_device(getattr(item, name), device) for name in item.__dataclass_fields__})
    return item
