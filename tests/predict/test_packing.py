"""State as JSON and tensors, and back."""

import json
import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch

from sam2nb.predict.packing import TensorTable, Unpacker, pack

CPU = torch.device("cpu")


class Pair(NamedTuple):
    left: object
    right: object = 0


@dataclass
class Box:
    content: object
    kept: object = None


def there_and_back(value, types=(Pair, Box)):
    table = TensorTable()
    text = json.dumps(pack(value, table))
    return Unpacker(table.tensors, types, CPU)(json.loads(text)), table


def random_value(rng: random.Random, depth: int = 4):
    """A random nest of everything that can be packed, but tensors."""
    leaves = [
        None,
        True,
        rng.randrange(-(10**12), 10**12),
        rng.gauss(0, 1e6),
        float("inf"),
        rng.choice(["", "ä\n", "a"]),
    ]
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(leaves)
    parts = [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    kinds = (
        list,
        tuple,
        lambda parts: {rng.choice((rng.random(), rng.randrange(99), "k")): part for part in parts},
        lambda parts: Pair(parts),
        lambda parts: Box(parts, kept=random_value(rng, depth - 1)),
    )
    return rng.choice(kinds)(parts)


@pytest.mark.parametrize("seed", range(100))
def test_every_value_comes_back_equal_and_of_its_own_class(seed):
    value = random_value(random.Random(seed))
    found, _ = there_and_back(value)
    assert found == value and repr(found) == repr(value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int32, torch.bool])
def test_tensors_keep_dtype_and_values(dtype):
    tensor = (torch.randn(2, 3) * 3).to(dtype)
    found, _ = there_and_back([tensor])
    assert found[0].dtype == dtype and torch.equal(found[0], tensor)


def test_tensors_keep_the_layout_that_kernels_round_by():
    tensor = torch.randn(1, 4, 5, 6).contiguous(memory_format=torch.channels_last)
    found, table = there_and_back({"last": tensor, "first": tensor.contiguous()})
    assert found["last"].stride() == tensor.stride() and torch.equal(found["last"], tensor)
    assert found["first"].is_contiguous() and all(t.is_contiguous() for t in table.tensors.values())


def test_a_shared_tensor_is_kept_once_and_shared_again():
    shared = torch.randn(3)
    found, table = there_and_back([Pair(shared), Pair(shared)])
    assert len(table.tensors) == 1 and found[0].left is found[1].left


def test_a_row_of_a_batch_is_kept_without_the_batch():
    _, table = there_and_back(torch.randn(100, 4)[3:4])
    [kept] = table.tensors.values()
    assert kept.untyped_storage().nbytes() == 16


def test_numpy_scalars_become_plain_ones():
    found, _ = there_and_back([np.int64(3), np.float64(0.1)])
    assert found == [3, 0.1] and [type(v) for v in found] == [int, float]


def test_other_kinds_are_refused_when_saving_and_when_loading():
    with pytest.raises(TypeError, match="complex cannot be saved"):
        pack([1j], TensorTable())
    with pytest.raises(KeyError, match="Pair"):
        there_and_back(Pair(1), types=(Box,))


def test_fields_called_stored_go_to_the_storage():
    table = TensorTable()
    packed = pack(Box(torch.zeros(1), kept=[torch.zeros(2)]), table)
    found = Unpacker(table.tensors, (Box,), CPU, torch.device("meta"), stored=("kept",))(packed)
    assert found.content.device.type == "cpu" and found.kept[0].device.type == "meta"
