import pytest
import torch

from sam2nb.model.memory_attention import MemoryAttention
from tests.reference import scramble

SIZE_HW = (3, 4)


@pytest.fixture(scope="module")
def attention():
    attention = MemoryAttention(width=32, memory_width=8, feedforward_width=64, num_layers=2)
    scramble(attention)
    return attention


def inputs(objects: int, frames: int, pointer_tokens: int) -> dict[str, torch.Tensor]:
    length = frames * 12 + pointer_tokens
    return {
        "tokens": torch.randn(1, 12, 32),
        "position": torch.randn(1, 12, 32),
        "memory": torch.randn(objects, length, 8),
        "memory_position": torch.randn(1, length, 8),
    }


@torch.no_grad()
def test_one_frame_serves_all_objects_as_if_alone(attention):
    given = inputs(objects=3, frames=2, pointer_tokens=4)
    together = attention(**given, size_hw=SIZE_HW, num_pointer_tokens=4)
    assert together.shape == (3, 12, 32)
    for row in range(3):
        alone = attention(**given | {"memory": given["memory"][row : row + 1]}, size_hw=SIZE_HW, num_pointer_tokens=4)
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_order_of_the_frames_does_not_matter_but_their_position_does(attention):
    given = inputs(objects=1, frames=2, pointer_tokens=0)
    base = attention(**given, size_hw=SIZE_HW, num_pointer_tokens=0)
    swapped = {name: torch.cat((given[name][:, 12:], given[name][:, :12]), 1) for name in ("memory", "memory_position")}
    torch.testing.assert_close(attention(**given | swapped, size_hw=SIZE_HW, num_pointer_tokens=0), base)
    moved = {"memory_position": swapped["memory_position"]}
    assert not torch.allclose(attention(**given | moved, size_hw=SIZE_HW, num_pointer_tokens=0), base, atol=1e-3)


@torch.no_grad()
def test_the_position_of_a_memory_reaches_its_keys_only(attention):
    seen = []
    handle = attention.layers[0].cross_attn_image.v_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    given = inputs(objects=1, frames=1, pointer_tokens=0)
    attention(**given, size_hw=SIZE_HW, num_pointer_tokens=0)
    handle.remove()
    assert torch.equal(seen[0], given["memory"])
