"""Low-rank updates: a large layer learns a small correction of its weights (LoRA, arXiv 2106.09685).

The published weights stay as they are; only the factors of the correction are trained and stored.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRankUpdate(nn.Module):
    """Adds `up @ down` to a weight; zero at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.low_rank_down = nn.Parameter(torch.randn(rank, columns, device=weight.device) / columns**0.5)
        self.low_rank_up = nn.Parameter(torch.zeros(rows, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """(rows, columns) -> the corrected weight"""
        return weight + self.low_rank_up @ self.low_rank_down


def add_low_rank_updates(module: nn.Module, rank: int) -> None:
    """Give every linear layer of a module a correction of the given rank."""
    for layer in list(module.modules()):
        if isinstance(layer, nn.Linear):
            parametrize.register_parametrization(layer, "weight", LowRankUpdate(layer.weight, rank))


def merge_low_rank_updates(module: nn.Module) -> None:
    """Make the corrections part of the weights, under the names the layers had before."""
    for layer in list(module.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
