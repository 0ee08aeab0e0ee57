"""Checkpoints go both ways between the official package and ours, strictly, for all eight configurations."""

import pytest
import torch

from sam2nb import load_checkpoint, save_checkpoint
from sam2nb.build import build_sam2, config_names
from tests.reference import build_official, scramble

pytestmark = pytest.mark.parity
PARAMETERS = {
    "sam2_hiera_t": 38_945_986,
    "sam2_hiera_s": 46_043_842,
    "sam2_hiera_b+": 80_833_666,
    "sam2_hiera_l": 224_430_130,
    "sam2.1_hiera_t": 38_962_498,
    "sam2.1_hiera_s": 46_060_354,
    "sam2.1_hiera_b+": 80_850_178,
    "sam2.1_hiera_l": 224_446_642,
}
SHARED_PARTS = {
    "memory_attention": 5_922_304,
    "memory_encoder": 1_384_608,
    "sam_prompt_encoder": 6_220,
    "sam_mask_decoder": 4_215_109,
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_are_official(name):
    model = build_sam2(name, device="cpu")
    assert count(model) == PARAMETERS[name]
    assert {part: count(getattr(model, part)) for part in SHARED_PARTS} == SHARED_PARTS


def test_every_official_configuration_is_there():
    assert set(PARAMETERS) <= set(config_names())


@pytest.mark.parametrize("name", PARAMETERS)
def test_checkpoints_go_both_ways(official, name, tmp_path):
    theirs, ours = build_official(name, 256), build_sam2(name, device="cpu")
    scramble(theirs, seed=1)
    torch.save({"model": theirs.state_dict()}, tmp_path / "official.pt")
    load_checkpoint(ours, tmp_path / "official.pt")
    assert_equal_states(ours, theirs)
    scramble(ours, seed=2)
    save_checkpoint(ours, tmp_path / "ours.pt")
    theirs.load_state_dict(torch.load(tmp_path / "ours.pt", weights_only=True)["model"], strict=True)
    assert_equal_states(ours, theirs)


def assert_equal_states(ours, theirs):
    mine, reference = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == reference.keys()
    assert all(torch.equal(mine[name], reference[name]) for name in mine)
