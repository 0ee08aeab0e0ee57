"""The optimiser of a phase: which parameters learn, and at which rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

FINAL_RATE = 0.01  # of the peak rate


def make_optimiser(model: nn.Module, rates: Mapping[str, float], weight_decay: float) -> torch.optim.AdamW:
    """AdamW over the parameters whose names contain a key of `rates`; freezes all others.

    The longest key found in a name counts. Biases, norms and embeddings are not decayed.
    Raises ValueError if no parameter matches any key.
    """
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


def trained_parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    """All parameters of an optimiser, group by group."""
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def schedule(step: float, steps: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth: the rate of a step as a fraction of the peak rate."""
    if step < warmup:
        return (step + 1) / warmup
    falling = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    return FINAL_RATE + (1 - FINAL_RATE) * falling
