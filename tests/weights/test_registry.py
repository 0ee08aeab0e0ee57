"""The registry: names, published facts, and files on this machine."""

import pytest
import yaml

from sam2nb.build import build_sam2
from sam2nb.resources import resource_dir
from sam2nb.weights import registry
from sam2nb.weights.registry import CHECKPOINTS, TRUNKS, find_checkpoint


def test_the_registry_knows_eight_official_checkpoints_and_ours():
    assert len([c for c in CHECKPOINTS.values() if c.url]) == 8
    assert CHECKPOINTS["sam2.1_hiera_large"].published == (39.5, 79.5, 74.6, 80.6)
    assert CHECKPOINTS["sam2_hiera_base_plus"].url.endswith("/072824/sam2_hiera_base_plus.pt")
    assert CHECKPOINTS["sam2.1_hiera_base_plus"].hugging_face == "facebook/sam2.1-hiera-base-plus"


def test_the_table_of_trunks_agrees_with_the_configurations():
    for trunk in TRUNKS.values():
        file = resource_dir("configs") / "trunk" / f"{trunk.letter}.yaml"
        configured = yaml.safe_load(file.read_text(encoding="utf-8"))["model"]["image_encoder"]["trunk"]
        assert (configured["embed_dim"], sum(configured["stages"])) == (trunk.width, trunk.blocks)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_registered_parameter_counts_are_true(name):
    model = build_sam2(CHECKPOINTS[name].config, device="meta")
    assert sum(p.numel() for p in model.parameters()) == CHECKPOINTS[name].parameters


@pytest.mark.parametrize(
    "alias",
    [
        "sam2.1_hiera_base_plus",
        "sam2.1_hiera_b+",
        "facebook/sam2.1-hiera-base-plus",
        "configs/sam2.1/sam2.1_hiera_b+.yaml",
        "checkpoints/sam2.1_hiera_base_plus.pt",
        "SAM2.1_hiera_base_plus.safetensors",
    ],
)
def test_a_checkpoint_is_found_by_every_usual_name(alias):
    assert find_checkpoint(alias).name == "sam2.1_hiera_base_plus"


def test_an_unknown_name_gets_a_suggestion_and_the_list():
    with pytest.raises(ValueError, match=r"'sam2_hiera_tinny'\. Did you mean 'sam2_hiera_tiny'\? Known: sam2\.1_hiera"):
        find_checkpoint("sam2_hiera_tinny")
    with pytest.raises(TypeError, match="name must be a string"):
        find_checkpoint(3)


def test_complete_weights_are_preferred_to_image_only_ones(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(registry, "shipped_folder", lambda: None)
    monkeypatch.setattr(registry, "hub_cache_file", lambda _: None)
    assert registry.best_on_disk() is None
    (tmp_path / "sam2_hiera_tiny_image.safetensors").touch()
    assert registry.file_on_disk("facebook/sam2-hiera-tiny").name == "sam2_hiera_tiny_image.safetensors"
    assert registry.file_on_disk("sam2_hiera_tiny", video=True) is None
    assert registry.best_on_disk().name == "sam2_hiera_tiny"
    (tmp_path / "sam2_hiera_tiny.pt").touch()
    (tmp_path / "sam2.1_hiera_small.pt.part").touch()
    assert registry.file_on_disk("sam2_hiera_tiny").name == "sam2_hiera_tiny.pt"
    assert registry.best_on_disk(video=True).name == "sam2_hiera_tiny"
    (tmp_path / "sam2.1_hiera_tiny.safetensors").touch()
    assert registry.best_on_disk().name == "sam2.1_hiera_tiny"


def test_files_in_the_hugging_face_cache_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path / "mine"))
    snapshot = tmp_path / "hub" / "models--facebook--sam2.1-hiera-small" / "snapshots" / "abc"
    (snapshot.parent.parent / "refs").mkdir(parents=True)
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    snapshot.mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert registry.file_on_disk("sam2.1_hiera_small") is None
    (snapshot / "sam2.1_hiera_small.pt").touch()
    assert registry.file_on_disk("sam2.1_hiera_small") == snapshot / "sam2.1_hiera_small.pt"
    (snapshot / "model.safetensors").touch()
    assert registry.file_on_disk("sam2.1_hiera_small", video=True) == snapshot / "model.safetensors"
    assert registry.file_on_disk("sam2.1_hiera_small", folder=tmp_path / "mine") is None


def test_the_download_folder_can_be_chosen_and_defaults_to_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert registry.checkpoint_folder() == tmp_path / "mine"
    monkeypatch.delenv(registry.FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "PACKAGE", tmp_path / "site-packages" / "sam2nb")
    assert registry.checkpoint_folder() == tmp_path / "cache" / "sam2nb"
