from pathlib import Path

import pytest
import torch

from sam2nb.build import load_model
from sam2nb.training.recipes.nano import export, inherit, read_recipe
from sam2nb.weights.files import read_state_file
from sam2nb.weights.registry import file_on_disk

MAX_BYTES = 16_000_000


def test_a_recipe_takes_overrides_and_an_unknown_one_is_named():
    recipe = read_recipe("nano", ("phases.0.steps=7", "image_size=128"))
    assert recipe["phases"][0]["steps"] == 7
    assert recipe["image_size"] == 128
    with pytest.raises(ValueError, match="no training recipe 'nani'; there are: nano"):
        read_recipe("nani")


def test_the_shipped_checkpoint_is_small_complete_and_finite():
    file = file_on_disk("sam2nb_nano", video=True)
    assert file is not None
    assert Path(file).stat().st_size <= MAX_BYTES
    model = load_model("sam2nb_nano", device="cpu")
    assert model.missing_parts == ()
    assert set(model.state_dict()) == set(read_state_file(file).state)
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in model.parameters())


def test_an_exported_model_comes_back_nearly_the_same(tmp_path, small_model):
    model = small_model("eval")
    state = read_state_file(export(model, tmp_path)).state
    for name, parameter in model.named_parameters():
        error = (state[name].float() - parameter).norm() / parameter.norm().clamp(min=1e-6)
        assert error < (0.05 if state[name].dtype == torch.float8_e4m3fn else 0.02), name  # 1e-6 is coarse in float16
    assert model.image_encoder.neck.convs[0].conv.weight.dtype == torch.float32  # the model itself keeps its precision


def test_only_tensors_of_equal_shape_are_inherited_and_the_neck_counts_from_its_own_end(small_model):
    model = small_model("eval")
    teacher = {
        "image_encoder.neck.convs.3.conv.weight": torch.full((256, 24, 1, 1), 3.0),  # four stages: 3 is the finest
        "image_encoder.neck.convs.2.conv.weight": torch.full((256, 48, 1, 1), 2.0),
        "image_encoder.neck.convs.1.conv.weight": torch.full((256, 99, 1, 1), 1.0),  # does not fit
        "image_encoder.neck.convs.0.conv.weight": torch.zeros(256, 192, 1, 1),
        "sam_mask_decoder.iou_token.weight": torch.full((1, 256), 5.0),
        "sam_mask_decoder.pred_obj_score_head.layers.0.weight": torch.zeros(256, 256),
    }
    names = inherit(model, teacher)
    assert sorted(names) == [
        "image_encoder.neck.convs.1.conv.weight",
        "image_encoder.neck.convs.2.conv.weight",
        "sam_mask_decoder.iou_token.weight",
    ]
    assert (model.image_encoder.neck.convs[2].conv.weight == 3).all()
    assert (model.sam_mask_decoder.iou_token.weight == 5).all()
