import pytest
import torch

from sam2nb.weights import files, registry
from sam2nb.weights.files import read_state_file, write_state_file
from sam2nb.weights.update import DOWN, UP, UPDATE_OF, apply_update, make_update

LAYER = "image_encoder.trunk.blocks.0.attn.qkv.weight"


def base() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {LAYER: torch.randn(12, 8, generator=generator), "neck": torch.randn(3, generator=generator)}


def test_an_update_restores_the_weights_it_was_made_of():
    published = base()
    corrected = published[LAYER] + torch.randn(12, 2) @ torch.randn(2, 8)
    trained = published | {LAYER: corrected, "memory": torch.ones(2)}
    update = make_update(trained, published, rank=2)
    assert set(update) == {LAYER + UP, LAYER + DOWN, "memory"}, "unchanged tensors are not stored"
    restored = apply_update(update, published)
    assert torch.allclose(restored[LAYER], corrected, atol=1e-5)
    assert set(restored) == set(trained)


def test_a_correction_of_another_model_is_refused():
    with pytest.raises(ValueError, match="fits no tensor"):
        apply_update({LAYER + UP: torch.ones(5, 2), LAYER + DOWN: torch.ones(2, 8)}, base())


@pytest.fixture
def update_file(tmp_path):
    state = {"memory": torch.ones(2, dtype=torch.float16)}
    return write_state_file(tmp_path / "own.safetensors", state, {UPDATE_OF: "sam2_hiera_tiny"})


def test_a_file_that_is_an_update_is_completed_when_it_is_read(update_file, tmp_path, monkeypatch):
    published = write_state_file(tmp_path / "published.safetensors", base())
    monkeypatch.setattr(files, "file_on_disk", {"sam2_hiera_tiny": published}.get)
    assert set(read_state_file(update_file).state) == {*base(), "memory"}


def test_a_missing_base_is_named_with_the_command_that_gets_it(update_file, monkeypatch):
    monkeypatch.setattr(files, "file_on_disk", lambda name: None)
    with pytest.raises(FileNotFoundError, match="builds on sam2_hiera_tiny.*download sam2_hiera_tiny"):
        read_state_file(update_file)


def test_a_checkpoint_without_its_base_does_not_count_as_on_disk(monkeypatch):
    tiny = registry.find_checkpoint("sam2nb_tiny")
    present = {"sam2nb_tiny": "file"}
    monkeypatch.setattr(registry, "file_on_disk", lambda name, video=False: present.get(name))
    assert not registry.is_on_disk(tiny)
    present["sam2_hiera_tiny"] = "file"
    assert registry.is_on_disk(tiny)
