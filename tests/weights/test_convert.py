"""Rewriting checkpoints: other formats, precisions and names, and every value kept."""

import pytest
import torch

from sam2nb.weights.convert import export_checkpoint
from sam2nb.weights.files import read_state_file, write_state_file
from sam2nb.weights.names import is_hugging_face


@pytest.fixture
def source(tmp_path):
    """A small file with a weight, an integer tensor and a note."""
    state = {
        "image_encoder.trunk.patch_embed.proj.weight": torch.randn(96, 3, 7, 7),
        "image_encoder.trunk.blocks.0.norm1.weight": torch.randn(96),
        "steps": torch.tensor(3),
    }
    return write_state_file(tmp_path / "source.pt", state, {"config": "sam2nb_nano", "note": "random"})


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_values_and_notes_are_kept_in_every_format(source, tmp_path, suffix):
    exported = read_state_file(export_checkpoint(str(source), tmp_path / f"target{suffix}"))
    original = read_state_file(source)
    assert exported.metadata == original.metadata and set(exported.state) == set(original.state)
    assert all(torch.equal(exported.state[name], value) for name, value in original.state.items())


def test_precision_changes_floating_point_tensors_only(source, tmp_path):
    state = read_state_file(export_checkpoint(str(source), tmp_path / "half.pt", dtype="bfloat16")).state
    assert state["steps"].dtype is torch.int64
    assert {value.dtype for name, value in state.items() if name != "steps"} == {torch.bfloat16}


def test_hugging_face_names_are_written_on_request(source, tmp_path):
    target = export_checkpoint(str(source), tmp_path / "theirs.pt", naming="huggingface")
    assert is_hugging_face(torch.load(target, weights_only=True)["model"])


def test_unknown_precisions_and_names_are_refused_before_anything_is_written(source, tmp_path):
    with pytest.raises(ValueError, match="dtype must be one of float32, float16, bfloat16, got 'int8'"):
        export_checkpoint(str(source), tmp_path / "target.pt", dtype="int8")
    with pytest.raises(ValueError, match="naming must be one of official, huggingface, got 'keras'"):
        export_checkpoint(str(source), tmp_path / "target.pt", naming="keras")
    assert not (tmp_path / "target.pt").exists()
