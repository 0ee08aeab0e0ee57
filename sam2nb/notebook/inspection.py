"""Look inside a running model: the inputs and outputs of modules, and attention weights.

The model is not changed: forward hooks record the calls, and attention weights are computed again from the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sam2nb.model.attention import Attention, RoPEAttention, split_heads
from sam2nb.model.hiera import Hiera, StageOpeningBlock
from sam2nb.model.positional import axial_rope, rotate


@dataclass(frozen=True)
class Call:
    """The positional inputs and the output of one call of a module."""

    inputs: tuple[Any, ...]
    output: Any


@contextmanager
def recording(**modules: nn.Module) -> Iterator[dict[str, Call]]:
    """Record the last call of each module within the `with` block: name -> Call. The hooks are removed at its end."""
    calls: dict[str, Call] = {}

    def recorder(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def record(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            calls[name] = Call(inputs, output)

        return record

    with ExitStack() as stack:
        for name, module in modules.items():
            handle = module.register_forward_hook(recorder(name))
            stack.callback(handle.remove)
        yield calls


@torch.no_grad()
def attention_weights(attention: Attention, queries: Tensor, keys: Tensor) -> Tensor:
    """The weight of each key for each query, softmax(q k^T / sqrt(c)); every row sums to one.

    queries: (B, N, C), keys: (B, M, C), the inputs of the module -> (B, heads, N, M)
    """
    q = split_heads(attention.q_proj(queries), attention.num_heads)
    k = split_heads(attention.k_proj(keys), attention.num_heads)
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)


@torch.no_grad()
def memory_weights(attention: RoPEAttention, call: Call) -> tuple[Tensor, Tensor]:
    """The weight of every remembered position and of every pointer for each position of the current frame.

    call: a recorded call of an attention to memories, such as `model.memory_attention.layers[-1].cross_attn_image`.
    The weights of a position sum to one over both results.
    -> of positions (B, h*w, n, h, w) for n remembered frames in the order of the memories, of pointers (B, h*w, P)
    """
    queries, keys, _, size_hw, num_pointer_tokens = call.inputs
    q, k = attention.q_proj(queries), attention.k_proj(keys)
    rotation = axial_rope(q.shape[-1], size_hw).to(q.device)
    grids, pointers = k.split((k.shape[1] - num_pointer_tokens, num_pointer_tokens), dim=1)
    grids = rotate(grids.unflatten(1, (-1, len(rotation))), rotation).flatten(1, 2)
    k = torch.cat((grids, pointers), dim=1)
    weights = (rotate(q, rotation) @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
    positions, of_pointers = weights.split((grids.shape[1], num_pointer_tokens), dim=-1)
    tokens_per_pointer = attention.q_proj.in_features // attention.k_proj.in_features
    return positions.unflatten(2, (-1, *size_hw)), of_pointers.unflatten(2, (-1, tokens_per_pointer)).sum(-1)


def trunk_blocks(trunk: Hiera, image_size: int) -> list[tuple[int, str, str, str]]:
    """One row per block of the trunk: its number, the grid of its tokens, whom a token attends to, a note.

    A block that opens a stage works on the grid of the stage before. image_size: side of the input in pixels.
    """
    rows, side = [], image_size // trunk.patch_embed.proj.stride[0]
    for index, block in enumerate(trunk.blocks):
        opens, window = isinstance(block, StageOpeningBlock), getattr(block, "window", None)
        attended = f"its window of {window} x {window}" if window else "all tokens"
        rows.append((index, f"{side} x {side}", attended, "opens the next stage" if opens else ""))
        side //= 2 if opens else 1
    return rows
