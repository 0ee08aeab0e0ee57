"""A compiler that fails costs speed, never the result."""

import copy
import logging

import torch
from torch import nn

from sam2nb.build import build_sam2
from sam2nb.fast.compiled import BOXES, CompiledForward, compile_boxes


class Box(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x + self.offset


def test_the_first_failure_falls_back_for_good_and_is_told_once(caplog):
    calls = []

    def broken(box, x):
        calls.append("compiled")
        raise RuntimeError("no compiler found\nand a long trace")

    box = Box()
    box.forward = CompiledForward("image_encoder", box, broken)
    with caplog.at_level(logging.WARNING):
        assert box(1) == 2 and box(2) == 3
    assert calls == ["compiled"]
    assert [record.getMessage() for record in caplog.records] == ["image_encoder runs uncompiled: no compiler found"]


def test_a_working_compiler_is_used():
    box = Box()
    box.forward = CompiledForward("box", box, lambda _box, x: x * 10)
    assert torch.equal(box(torch.ones(1)), torch.full((1,), 10.0))


def test_single_boxes_can_be_compiled():
    model = compile_boxes(build_sam2("sam2nb_nano", device="cpu"), ["image_encoder"])
    assert [name for name in BOXES if isinstance(getattr(model, name).forward, CompiledForward)] == ["image_encoder"]


def test_a_copy_of_a_compiled_box_uses_its_own_weights():
    box = Box()
    box.forward = CompiledForward("box", box, Box.forward)
    twin = copy.deepcopy(box)
    nn.init.constant_(twin.offset, 5)
    assert box(torch.zeros(1)).item() == 1 and twin(torch.zeros(1)).item() == 5


@torch.no_grad()
def test_a_compiled_model_gives_what_the_textbook_gives(monkeypatch):
    # the compiler's front end without its code generator, which needs a C++ compiler and minutes
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: _trace_only(function))
    size = "++model.image_size=64"
    plain = build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=[size], fast=False)
    fast = build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=[size])
    fast.load_state_dict(plain.state_dict())
    pixels = torch.randn(1, 3, 64, 64)
    features = compile_boxes(fast).encode_image(pixels)
    assert not any(getattr(fast, name).forward.failed for name in BOXES)
    torch.testing.assert_close(features.embedding, plain.encode_image(pixels).embedding, atol=1e-5, rtol=1e-5)


_compile = torch.compile


def _trace_only(function):
    return _compile(function, dynamic=False, backend="eager")
