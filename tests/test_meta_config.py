"""Configuration files of the official package, as they are and edited."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sam2nb import build, build_sam2
from sam2nb.build import compose_config
from sam2nb.meta_config import is_meta_config, translate
from sam2nb.resources import resource_dir
from tests.compat.snippets import META_CONFIG

NAMES = [f"{release}_hiera_{size}" for release in ("sam2", "sam2.1") for size in ("t", "s", "b+", "l")]


@pytest.fixture
def edited(tmp_path):
    """Write a small configuration in Meta's form, with changes -> its path"""

    def write(*changes: tuple[str, str]) -> Path:
        text = META_CONFIG.format(is_2_1=True, compiles=False)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parity
@pytest.mark.parametrize("name", NAMES)
def test_every_official_file_is_translated_to_our_configuration_of_that_name(official, name):
    folder = "sam2.1" if name.startswith("sam2.1") else "sam2"
    path = Path(official.__file__).parent / "configs" / folder / f"{name}.yaml"
    assert is_meta_config(path)
    ours, overrides = translate(path)
    assert ours == name and overrides.pop() == "++model.compile_image_encoder=False"
    configs = resource_dir("configs")
    assert compose_config(configs, ours, overrides) == compose_config(configs, ours)


@pytest.mark.parity
def test_a_training_file_has_no_model_to_build(official):
    path = Path(official.__file__).parent / "configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml"
    with pytest.raises(ValueError, match="MOSE_finetune.yaml' has no `model:` section"):
        build_sam2(path)


def test_edits_count(edited):
    path = edited(
        ("image_size: 128", "image_size: 64"), ("num_maskmem: 7", "num_maskmem: 4"), ("[1, 1, 1, 1]", "[1, 2, 1, 1]")
    )
    model = build_sam2(path, device="cpu")
    assert model.image_size == 64 and model.num_maskmem == 4 and len(model.image_encoder.trunk.blocks) == 5
    assert model.image_encoder.trunk.blocks[0].attn.qkv.weight.shape == (48, 16)
    assert len(model.memory_attention.layers) == 1 and model.obj_ptr_tpos_proj is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("sigmoid_scale_for_mem_enc: 20.0", "sigmoid_scale_for_mem_enc: 10.0"), "to 10.0; sam2nb has it at 20.0 only"),
        (("sigmoid_scale_for_mem_enc: 20.0", "my_setting: 3"), "sets my_setting to 3, which sam2nb does not have"),
        (("[7, 7]", "[7, 14]"), r"window_pos_embed_bkg_spatial_size to \[7, 14\], which sam2nb does not have"),
        (("add_tpos_enc_to_obj_ptrs: True", "add_tpos_enc_to_obj_ptrs: False"), "to False; sam2nb has it at True only"),
        (("model:", "model: ["), "is not YAML"),
        (
            ("    d_model: 256\n    layer", "    d_model: 128\n    layer"),
            "memory_attention.d_model to 128; .* at 256 only",
        ),
        (
            ("hieradet.Hiera", "hieradet.Hiera2\n      mask_ratio: 0.5"),
            "trunk.mask_ratio to 0.5, which sam2nb does not",
        ),
        (("sam2.modeling.backbones.hieradet.Hiera", "my.Hiera"), "_target_ to 'my.Hiera', which sam2nb does not have"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_named(edited, change, message):
    with pytest.raises(ValueError, match=message) as error:
        build_sam2(edited(change), device="cpu")
    assert "mine.yaml" in str(error.value) and "\n" not in str(error.value)


def test_an_image_encoder_is_compiled_where_the_configuration_says_so(edited, monkeypatch, tmp_path):
    compiled = []
    monkeypatch.setattr(build, "compile_boxes", lambda model, names: compiled.append(names) or model)
    build_sam2(edited(), device="cpu")
    assert compiled == []
    build_sam2(edited(("compile_image_encoder: False", "compile_image_encoder: True")), device="cpu")
    build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=["++model.compile_image_encoder=true"])
    ours = tmp_path / "ours.yaml"
    ours.write_text("defaults:\n  - sam2nb_nano\n  - _self_\nmodel:\n  compile_image_encoder: True\n")
    build_sam2(ours, device="cpu")
    assert compiled == [["image_encoder"]] * 3


def test_official_settings_of_the_stability_are_taken():
    extra = "++model.sam_mask_decoder_extra_args.dynamic_multimask"
    models = [
        build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=[f"{extra}_via_stability={value}"])
        for value in ("true", "false")
    ]
    assert [model.stable_single_mask for model in models] == [True, False]
    build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=[f"{extra}_stability_delta=0.05"])
    with pytest.raises(ValueError, match="dynamic_multimask_stability_delta=0.1 must be one of .*delta=0.05"):
        build_sam2("sam2nb_nano", device="cpu", hydra_overrides_extra=[f"{extra}_stability_delta=0.1"])
    assert torch.is_grad_enabled()
