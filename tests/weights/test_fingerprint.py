"""The fingerprint of weights: equal for equal values, new after every change."""

import copy

import torch

from sam2nb import build_sam2, load_checkpoint, save_checkpoint
from sam2nb.weights.fingerprint import weights_fingerprint


def small():
    torch.manual_seed(0)
    return build_sam2("sam2nb_nano", device="cpu")


def test_equal_weights_have_one_fingerprint_wherever_they_come_from(tmp_path):
    model = small()
    before = weights_fingerprint(model)
    assert len(before) == 64 and weights_fingerprint(copy.deepcopy(model)) == before
    other = load_checkpoint(build_sam2("sam2nb_nano", device="cpu"), save_checkpoint(model, tmp_path / "a.safetensors"))
    assert weights_fingerprint(other) == before


def test_one_changed_weight_is_noticed_and_so_is_its_return():
    model = small()
    before = weights_fingerprint(model)
    with torch.no_grad():
        model.no_mem_embed[0, 0, 0] += 1
    assert weights_fingerprint(model) != before
    with torch.no_grad():
        model.no_mem_embed[0, 0, 0] -= 1
    assert len({weights_fingerprint(model), weights_fingerprint(copy.deepcopy(model))}) == 1


def test_parts_without_weights_do_not_count():
    model = small()
    model.missing_parts = ("memory_attention",)
    before = weights_fingerprint(model)
    with torch.no_grad():
        model.memory_attention.norm.weight += 1
    assert weights_fingerprint(model) == before


def test_weights_made_under_inference_mode_are_read_anew_each_time():
    with torch.inference_mode():
        model = small()
        copied = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(copied, assign=True)
        before = weights_fingerprint(model)
        model.no_mem_embed += 1
        assert weights_fingerprint(model) != before
