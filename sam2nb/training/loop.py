"""The training loop: phases of steps, with checkpoints from which an interrupted run continues exactly.

On one device or several: Hugging Face Accelerate places, wraps and synchronises the model
(https://huggingface.co/docs/accelerate).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from sam2nb.model.sam2 import SAM2
from sam2nb.training.data.batches import ClipBatch, StillBatch, generator
from sam2nb.training.losses import total
from sam2nb.training.optimiser import make_optimiser, schedule, trained_parameters
from sam2nb.training.phase import Phase
from sam2nb.training.run_log import RunLog
from sam2nb.training.run_state import MovingAverage, Progress, Settings, TrainingDiverged, restore, save_state
from sam2nb.training.step import TrainingStep

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer

IMAGES, CONVERSATION = 0, 1  # the purposes of a step's two generators: its batch, and the prompts within it

MakeBatch = Callable[[np.random.Generator, Phase, int], StillBatch | ClipBatch]  # the int: the step of the phase
BeginPhase = Callable[[SAM2, Phase], None]
Validate = Callable[[SAM2, RunLog, Phase, int], object]


@dataclass(frozen=True)
class RunOptions:
    """The settings of a whole run, under their names in configs/train.

    ema: decay of the moving average of the weights. clip_gradient: the largest norm of a gradient.
    mixed_precision: "no", "bf16" or "fp16". workers: processes that make batches ahead; which batch belongs to which
    step does not depend on them.
    """

    seed: int = 0
    ema: float = 0.999
    clip_gradient: float = 1.0
    weight_decay: float = 0.02
    save_minutes: float = 3.0
    validate_every: int = 500
    mixed_precision: str = "no"
    workers: int = 0


DEFAULT_OPTIONS = RunOptions()


def train(
    step: TrainingStep,
    phases: Sequence[Phase],
    make_batch: MakeBatch,
    folder: str | Path,
    options: RunOptions = DEFAULT_OPTIONS,
    *,
    validate: Validate | None = None,
    begin_phase: BeginPhase | None = None,
    stop_after: int | None = None,
    device: str | torch.device | None = None,
    settings: Settings | None = None,
) -> MovingAverage:
    """Train through all phases, continuing from `folder/last.pt` if it exists; returns the averaged model.

    make_batch: (generator, phase, step) -> batch. validate: called every `options.validate_every` steps.
    begin_phase: may change the model when a phase begins. stop_after: end after this many steps (the state is saved).
    device: "cpu" keeps the run there; otherwise Accelerate chooses. settings: a run with others is not continued.
    Ctrl-C saves the state and re-raises. Raises TrainingDiverged when a loss or gradient is not finite, ValueError
    when the folder holds the run of another model, or one with other settings.
    """
    folder = Path(folder)
    accelerator = make_accelerator(options.mixed_precision, device)
    average = MovingAverage(step.model, options.ema)
    progress, optimiser_state = restore(folder, step.model, average, settings)
    average.model.to(accelerator.device)
    run = Run(step, average, progress, folder, RunLog(folder), accelerator, options, make_batch, validate, settings)
    left = math.inf if stop_after is None else stop_after
    while progress.phase < len(phases) and left > 0:
        phase_run = run.begin(phases[progress.phase], begin_phase, optimiser_state)
        optimiser_state = None  # the state of the interrupted phase, not of those after it
        left -= phase_run.take_steps(left)
        phase_run.finish()
    return average


def make_accelerator(mixed_precision: str, device: str | torch.device | None) -> Accelerator:
    """The accelerator of this process, on the CPU if `device` is the CPU."""
    from accelerate import Accelerator, DistributedDataParallelKwargs

    return Accelerator(
        mixed_precision=mixed_precision,
        cpu=device is not None and torch.device(device).type == "cpu",
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


@dataclass(frozen=True)
class Run:
    """The part of a run that all its phases share: the model with its average, the progress, and the settings."""

    step: TrainingStep
    average: MovingAverage
    progress: Progress
    folder: Path
    log: RunLog
    accelerator: Accelerator
    options: RunOptions
    make_batch: MakeBatch
    validate: Validate | None
    settings: Settings | None = None

    def begin(self, phase: Phase, begin_phase: BeginPhase | None, optimiser_state: dict[str, Any] | None) -> PhaseRun:
        """Begin a phase from the averaged weights of the one before, or continue one with its optimiser's state."""
        model = self.step.model
        if self.progress.step == 0:
            model.load_state_dict(self.average.model.state_dict())
            if begin_phase is not None:
                begin_phase(model, phase)
            self.average.model.load_state_dict(model.state_dict())
        optimiser = make_optimiser(model, phase.rates, self.options.weight_decay)
        wrapped, optimiser = self.accelerator.prepare(self.step, optimiser)
        if optimiser_state is not None:
            optimiser.load_state_dict(optimiser_state)
        return PhaseRun(self, phase, wrapped, optimiser, time.monotonic())

    def generator(self, purpose: int) -> np.random.Generator:
        """One of the generators of the current step and of this process."""
        return generator(self.options.seed, self.progress.total, purpose, self.accelerator.process_index)


@dataclass(frozen=True)
class PhaseRun:
    """One phase under way: the step as Accelerate wraps it, and its optimiser."""

    run: Run
    phase: Phase
    wrapped: nn.Module
    optimiser: AcceleratedOptimizer
    began: float  # by the monotonic clock, in seconds

    def done(self) -> float:
        """The part of the phase that is over, by steps or by time, whichever is further: 0 to 1 or a little more."""
        by_steps = self.run.progress.step / max(1, self.phase.steps)
        by_time = (time.monotonic() - self.began) / (60 * self.phase.minutes) if self.phase.minutes else 0.0
        return max(by_steps, by_time)

    def take_steps(self, limit: float) -> int:
        """Train until the phase ends, for at most `limit` steps; returns the number of steps taken."""
        progress, phase = self.run.progress, self.phase
        first, saved_at = progress.total, time.monotonic()
        self.run.step.model.train()
        bar = tqdm(total=phase.steps, initial=progress.step, desc=phase.name, mininterval=5)
        try:
            for batch in self.batches(limit):
                losses = self.learn(batch)
                progress.advance()
                bar.update()
                self.run.log.add(phase.name, progress.step, losses)
                if time.monotonic() - saved_at > 60 * self.run.options.save_minutes:
                    self.save()
                    saved_at = time.monotonic()
                self.validate()
                if self.done() >= 1:
                    break
        finally:  # also after Ctrl-C or a loss that is not finite: the weights are those of the last good step
            bar.close()
            self.save()
        return progress.total - first

    def batches(self, limit: float) -> DataLoader:
        """The batches of the next `limit` steps of the phase."""
        return DataLoader(
            StepBatches(self.run, self.phase, limit), batch_size=None, num_workers=self.run.options.workers
        )

    def learn(self, batch: StillBatch | ClipBatch) -> dict[str, float]:
        """Take one optimisation step; returns its losses. The weights change only if everything is finite."""
        accelerator, progress = self.run.accelerator, self.run.progress
        warming_up = progress.step < self.phase.warmup
        now = progress.step if warming_up else self.done() * self.phase.steps
        rate = schedule(now, self.phase.steps, self.phase.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * rate
        self.optimiser.zero_grad(set_to_none=True)
        with accelerator.autocast():
            rng = self.run.generator(CONVERSATION)
            losses = self.wrapped(to_device(batch, accelerator.device), rng, self.phase)
            loss = total(losses)
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(trained_parameters(self.optimiser), self.run.options.clip_gradient)
        values = {name: float(value.detach()) for name, value in losses.items()}
        self.require_finite(values, float(loss.detach()), float(norm))
        self.optimiser.step()
        self.run.average.update(self.run.step.model, progress.total)
        return values | {"loss": float(loss.detach()), "gradient": float(norm), "rate": rate}

    def require_finite(self, losses: dict[str, float], loss: float, norm: float) -> None:
        """Raise TrainingDiverged if the loss or the gradient is not a finite number."""
        scaled = self.run.accelerator.scaler is not None  # float16: the scaler skips a step of infinite norm
        if math.isfinite(loss) and (scaled or math.isfinite(norm)):
            return
        bad = [name for name, value in losses.items() if not math.isfinite(value)] or ["gradient"]
        raise TrainingDiverged(
            f"{', '.join(bad)} not finite at step {self.run.progress.step} of phase {self.phase.name!r}; the weights "
            f"before it are in {self.run.folder}. Lower its `rates`, or look at that batch (seeded by the step)"
        )

    def validate(self) -> None:
        """Validate the averaged model, if it is time to."""
        run = self.run
        due = run.progress.step % run.options.validate_every == 0
        if due and run.validate is not None and run.accelerator.is_main_process:
            run.validate(run.average.model, run.log, self.phase, run.progress.step)

    def finish(self) -> None:
        """Move on to the next phase if this one is complete, and free the memory it held."""
        if self.done() >= 1:
            self.run.progress.next_phase()
            self.save()
        self.run.accelerator.free_memory()

    def save(self) -> None:
        """Write the state of the run."""
        run = self.run
        if run.accelerator.is_main_process:
            save_state(run.folder, run.progress, run.step.model, run.average, self.optimiser, run.settings)


class StepBatches(Dataset):
    """The batches of one phase from the current step on: item i belongs to the i-th step from now."""

    def __init__(self, run: Run, phase: Phase, limit: float) -> None:
        self.make_batch, self.phase = run.make_batch, phase
        self.seed, self.process = run.options.seed, run.accelerator.process_index
        self.step, self.total = run.progress.step, run.progress.total
        self.count = max(0, min(phase.steps - self.step, limit))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> StillBatch | ClipBatch:
        if index >= self.count:
            raise IndexError(index)
        rng = generator(self.seed, self.total + index, IMAGES, self.process)
        return self.make_batch(rng, self.phase, self.step + index)


def to_device(item: Any, device: torch.device) -> Any:
    """Move every tensor of a (nested) batch to a device."""
    if isinstance(item, torch.Tensor):
        return item.to(device)
    if isinstance(item, tuple):
        return tuple(to_device(part, device) for part in item)
    if hasattr(item, "__dataclass_fields__"):
        return type(item)(**{name: to_device(getattr(item, name), device) for name in item.__dataclass_fields__})
    return item
