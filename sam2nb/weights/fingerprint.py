"""The fingerprint of a model's weights: equal for equal weights, wherever they were loaded from."""

from __future__ import annotations

import hashlib
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sam2nb.weights.checkpoint import loaded_state

_known: WeakKeyDictionary[nn.Module, tuple[tuple, str]] = WeakKeyDictionary()


def weights_fingerprint(model: nn.Module) -> str:
    """The SHA-256 of all weights, in hexadecimal; parts that the checkpoint lacked (`missing_parts`) do not count.

    It is computed once per model (0.1 s for hiera-tiny), and again after the weights have changed.
    """
    state = loaded_state(model)
    if any(tensor.is_inference() for tensor in state.values()):
        return _digest(state)  # changes under inference mode leave no trace
    versions = tuple((name, tensor.data_ptr(), tensor._version) for name, tensor in state.items())
    if model not in _known or _known[model][0] != versions:
        _known[model] = (versions, _digest(state))
    return _known[model][1]


def _digest(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
