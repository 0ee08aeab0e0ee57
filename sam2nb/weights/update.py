"""Weights stored as an update of published ones: corrections of low rank, and whole tensors.

A file that is small enough to ship so builds on one that is downloaded (LoRA, arXiv 2106.09685).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

UPDATE_OF = "update_of"  # the note in a file that names the published checkpoint
UP, DOWN = ".low_rank_up", ".low_rank_down"  # suffixes of the factors: the correction is up @ down


def apply_update(update: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Complete an update with the published weights: tensors of the base, corrected or replaced by those of the update.

    Raises ValueError if a correction does not fit the base.
    """
    state = dict(base)
    for name, tensor in update.items():
        if name.endswith(UP):
            whole = name.removesuffix(UP)
            down = update.get(whole + DOWN)
            is_product = down is not None and tensor.ndim == down.ndim == 2 and tensor.shape[1] == down.shape[0]
            if not is_product or whole not in base or base[whole].shape != (tensor.shape[0], down.shape[1]):
                raise ValueError(f"the correction of {whole} fits no tensor of the weights it builds on")
            state[whole] = base[whole].float() + tensor.float() @ down.float()
        elif not name.endswith(DOWN):
            state[name] = tensor
    return state


def make_update(state: Mapping[str, Tensor], base: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The update that turns a base into a state: factors of the given rank for corrected linear layers of the trunk.

    state: in float32; the base may be stored in less.
    """
    update = {}
    for name, tensor in state.items():
        before = base[name].float() if name in base and base[name].is_floating_point() else base.get(name)
        if before is not None and torch.equal(tensor, before):
            continue
        if before is not None and ".trunk." in name and name.endswith(".weight") and tensor.ndim == 2:
            update[name + UP], update[name + DOWN] = factors_of(tensor - before, rank)
        else:
            update[name] = tensor
    return update


def factors_of(correction: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The best factors of a correction (rows, columns): -> up (rows, rank), down (rank, columns)"""
    u, values, v = torch.linalg.svd(correction.float(), full_matrices=False)
    root = values[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]
