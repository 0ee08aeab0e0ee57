import pytest
import torch

from sam2nb import build_sam2, build_sam2_hf, load_model, save_checkpoint
from sam2nb.build import config_names
from sam2nb.devices import pick_device, pick_dtype


@pytest.mark.parametrize(
    "spelling", ["sam2.1_hiera_t", "sam2.1_hiera_t.yaml", "configs/sam2.1/sam2.1_hiera_t.yaml", "sam2.1_hiera_t"]
)
def test_a_configuration_is_found_by_every_usual_name(spelling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # whatever folder the program runs in
    assert build_sam2(spelling, device="cpu").image_size == 1024


def test_an_own_configuration_may_build_on_ours(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("defaults:\n  - model\n  - generation: '2.0'\n  - trunk: t\n  - _self_\nmodel:\n  image_size: 512\n")
    assert build_sam2(own, device="cpu").image_size == 512


def test_a_foreign_global_hydra_is_left_as_it_was(tmp_path):
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    official = GlobalHydra.instance().hydra  # importing the official package leaves one behind
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(tmp_path), version_base=None):
        others = GlobalHydra.instance().hydra
        build_sam2("sam2_hiera_t", device="cpu")
        assert GlobalHydra.instance().hydra is others
    GlobalHydra.instance().hydra = official


def test_bad_arguments_are_named():
    with pytest.raises(FileNotFoundError, match="sam2.1_hiera_t"):
        build_sam2("sam3_hiera_t")
    with pytest.raises(ValueError, match="mode"):
        build_sam2("sam2_hiera_t", mode="test")
    for size in (1000, 0, -32):
        with pytest.raises(ValueError, match="image_size"):
            build_sam2("sam2_hiera_t", hydra_overrides_extra=[f"++model.image_size={size}"])
    with pytest.raises(ValueError, match="sam2.1_hiera_tiny"):
        load_model("sam2.1_hiera_tinny")
    with pytest.raises(ValueError, match="device"):
        pick_device("gpu")
    with pytest.raises(ValueError, match="dtype"):
        pick_dtype("int8", torch.device("cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="not available"):
        build_sam2("sam2_hiera_t", device="cuda")


def test_postprocessing_and_mode_are_switches():
    model = build_sam2("sam2_hiera_t", device="cpu", apply_postprocessing=False, mode="train")
    assert not model.stable_single_mask and model.training
    model = build_sam2("sam2_hiera_t", device="cpu")
    assert model.stable_single_mask and not model.training


def test_all_configurations_are_listed():
    assert len([name for name in config_names() if "hiera" in name]) == 8


def test_a_published_checkpoint_is_looked_for_where_checkpoints_are_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    model = build_sam2("sam2nb_nano.yaml", "./checkpoints/sam2nb_nano.pt", device="cpu")
    assert torch.equal(model.no_mem_embed, load_model("sam2nb_nano", device="cpu").no_mem_embed)
    assert "there is no file checkpoints/sam2nb_nano.pt" in caplog.text.replace("./", "")
    monkeypatch.setattr("sam2nb.build.file_on_disk", lambda name: None)
    with pytest.raises(FileNotFoundError, match="sam2nb download sam2_hiera_large` downloads it, and load_model"):
        build_sam2("sam2_hiera_t", "./checkpoints/sam2_hiera_large.pt", device="cpu")


@pytest.mark.parametrize("path", ["./checkpoints/mine.pt", "./runs/sam2nb_nano.pt", "sam2nb_nano.safetensors"])
def test_any_other_file_that_is_not_there_is_an_error(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        build_sam2("sam2nb_nano", path, device="cpu")


def test_a_model_is_built_by_its_hugging_face_id(monkeypatch, tmp_path):
    small = build_sam2("sam2_hiera_t", device="cpu")
    asked = []
    monkeypatch.setattr("sam2nb.build.is_on_disk", lambda checkpoint: False)
    monkeypatch.setattr(
        "sam2nb.build._download", lambda name: asked.append(name) or save_checkpoint(small, tmp_path / "t.pt")
    )
    model = build_sam2_hf("facebook/sam2-hiera-tiny", device="cpu", mode="train")
    assert asked == ["sam2_hiera_tiny"] and model.training
    assert torch.equal(model.no_mem_embed, small.no_mem_embed)


def test_defaults_of_the_program_change_no_weight():
    expected = load_model("sam2nb_nano", device="cpu").state_dict()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            model = load_model("sam2nb_nano", device="cpu")
        assert torch.get_default_dtype() is torch.bfloat16
    finally:
        torch.set_default_dtype(torch.float32)
    found = model.state_dict()
    assert all(t.dtype is torch.float32 and torch.equal(found[name], t) for name, t in expected.items())


def test_loading_weights_leaves_the_random_numbers_of_the_program_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model("sam2nb_nano", device="cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("override", ["garbage", "model.no_such_setting=3", "++model.image_size=[", "trunk=none"])
def test_an_override_that_cannot_be_read_is_refused_in_words(override):
    with pytest.raises(ValueError, match="the configuration sam2nb_nano has no such setting"):
        build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=[override])
