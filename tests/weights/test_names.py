"""The table of tensor names: every official name becomes a Hugging Face name and back."""

import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.weights.names import RULES, is_hugging_face, to_hugging_face, to_official, to_pattern
from sam2nb.weights.registry import CHECKPOINTS


@pytest.mark.parametrize("name", [c.name for c in CHECKPOINTS.values()])
def test_names_can_be_translated_both_ways(name):
    state = build_sam2(CHECKPOINTS[name].config, device="meta").state_dict()
    state = {key: torch.empty(value.shape) for key, value in state.items()}
    theirs = to_hugging_face(state)
    assert is_hugging_face(theirs) and not is_hugging_face(state)
    assert not set(theirs) & {key for key in state if not key.startswith(("memory_attention", "mask_downsample"))}
    back = to_official(theirs)
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in state.items()}


def test_every_rule_of_the_table_decides_some_name():
    names = build_sam2("sam2.1_hiera_t", device="meta").state_dict()
    rules = [to_pattern(rule) for rule, _ in RULES]
    names = [name for name in names if "point_embeddings" not in name]  # not a mere renaming
    deciding = {next(i for i, rule in enumerate(rules) if rule.fullmatch(name)) for name in names}
    assert deciding == set(range(len(RULES)))


def test_an_unknown_name_is_left_for_strict_loading_to_report():
    state = {"vision_encoder.x": torch.zeros(1), "novelty": torch.zeros(1)}
    assert list(to_official(state)) == list(state)
