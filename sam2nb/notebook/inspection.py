"""Look inside a running model: what goes into a box, what comes out, and where attention goes.

Nothing is changed in the model: forward hooks record, and shares of attention are computed again from the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sam2nb.model.attention import Attention, split_heads


@dataclass(frozen=True)
class Call:
    """One call of a module: its positional inputs and its output."""

    inputs: tuple[Any, ...]
    output: Any


@contextmanager
def recording(**modules: nn.Module) -> Iterator[dict[str, Call]]:
    """Record the last call of each module inside the `with` block: name -> Call."""
    calls: dict[str, Call] = {}

    def recorder(name: str):
        def record(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            calls[name] = Call(inputs, output)

        return record

    with ExitStack() as stack:
        for name, module in modules.items():
            handle = module.register_forward_hook(recorder(name))
            stack.callback(handle.remove)
        yield calls


@torch.no_grad()
def attention_shares(attention: Attention, queries: Tensor, keys: Tensor) -> Tensor:
    """How each query divides its attention among the keys; every row sums to one.

    queries: (B, N, C), keys: (B, M, C), as the module got them -> (B, heads, N, M)
    """
    q = split_heads(attention.q_proj(queries), attention.num_heads)
    k = split_heads(attention.k_proj(keys), attention.num_heads)
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
