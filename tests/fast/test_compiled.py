"""A compiler that fails costs speed, never the answer."""

import logging

import torch

from sam2nb.fast.compiled import _with_a_way_back


def test_the_first_failure_falls_back_for_good_and_is_told_once(caplog):
    calls = []

    def broken(x):
        calls.append("compiled")
        raise RuntimeError("no compiler found\nand a long trace")

    forward = _with_a_way_back("image_encoder", broken, lambda x: x + 1)
    with caplog.at_level(logging.WARNING):
        assert forward(1) == 2 and forward(2) == 3
    assert calls == ["compiled"]
    assert [record.getMessage() for record in caplog.records] == ["image_encoder goes on uncompiled: no compiler found"]


def test_a_working_compiler_is_used():
    forward = _with_a_way_back("box", lambda x: x * 10, lambda x: x)
    assert torch.equal(forward(torch.ones(1)), torch.full((1,), 10.0))
