"""State as JSON and named tensors, and back, without pickle.

Dataclasses, named tuples, lists, dicts and plain values are packed. The JSON names each class; an `Unpacker` makes
only those that its caller lists, so that a file cannot choose what is run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

PLAIN = (bool, int, float, str, type(None))


@dataclass
class TensorTable:
    """Tensors by name; one that is shared by several owners is kept once."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _originals: list[Tensor] = field(default_factory=list)  # alive, so that no two have the same id

    def add(self, tensor: Tensor) -> str:
        """The name of a tensor, which is new in the table or known."""
        if id(tensor) not in self._names:
            self._names[id(tensor)] = str(len(self._names))
            self._originals.append(tensor)
            self.tensors[self._names[id(tensor)]] = _alone(tensor)
        return self._names[id(tensor)]


def _alone(tensor: Tensor) -> Tensor:
    """The values on the CPU, contiguous, in storage that belongs to no other tensor."""
    values = tensor.detach().cpu().contiguous()
    return values.clone() if values.untyped_storage().nbytes() > values.nbytes else values


def pack(value: Any, table: TensorTable) -> Any:
    """A value as JSON; its tensors go into the table. Raises TypeError for a value of another kind."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Tensor):
        # kernels round differently for another layout, so it is kept
        is_last = (
            value.ndim == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
        )
        return {"tensor": table.add(value), **({"layout": "channels_last"} if is_last else {})}
    if isinstance(value, Mapping):
        return {"dict": [[pack(key, table), pack(entry, table)] for key, entry in value.items()]}
    if is_dataclass(value) or hasattr(value, "_fields"):
        names = value._fields if hasattr(value, "_fields") else [f.name for f in fields(value)]
        return {"type": type(value).__name__, **{name: pack(getattr(value, name), table) for name in names}}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [pack(entry, table) for entry in value]}
    raise TypeError(f"{type(value).__name__} cannot be saved")


class Unpacker:
    """Make values of packed ones.

    tensors: by name. types: the classes that may be made. device: where tensors go; those in fields called `stored`
    go to `storage`.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        types: Collection[type],
        device: torch.device,
        storage: torch.device | None = None,
        stored: Collection[str] = (),
    ) -> None:
        self._tensors = tensors
        self._types = {kind.__name__: kind for kind in types}
        self._device, self._storage, self._stored = device, storage or device, stored
        self._made: dict[tuple, Tensor] = {}

    def __call__(self, packed: Any) -> Any:
        """Raises KeyError, TypeError or AttributeError for JSON that `pack` did not write, or with unknown classes."""
        return self._make(packed, self._device)

    def _make(self, packed: Any, device: torch.device) -> Any:
        if isinstance(packed, PLAIN):
            return packed
        if "tensor" in packed:
            return self._tensor(packed["tensor"], packed.get("layout"), device)
        if "dict" in packed:
            return {self._make(key, device): self._make(entry, device) for key, entry in packed["dict"]}
        if "type" in packed:
            parts = {
                name: self._make(part, self._storage if name in self._stored else device)
                for name, part in packed.items()
                if name != "type"
            }
            return self._types[packed["type"]](**parts)
        [(kind, entries)] = packed.items()
        return {"list": list, "tuple": tuple}[kind](self._make(entry, device) for entry in entries)

    def _tensor(self, name: str, layout: str | None, device: torch.device) -> Tensor:
        key = (name, layout, device)
        if key not in self._made:  # a shared tensor stays shared
            tensor = self._tensors[name].to(device)
            is_last = layout == "channels_last"
            self._made[key] = tensor.contiguous(memory_format=torch.channels_last) if is_last else tensor
        return self._made[key]
