import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from sam2nb.build import load_model
from sam2nb.training.data.batches import ClipBatch, StillBatch, generator
from sam2nb.training.data.teacher import ARRAYS
from sam2nb.training.phase import Phase
from sam2nb.training.recipes import nano
from sam2nb.training.recipes.nano import RecipeBatches, inherit, list_photos, read_recipe, save_compact
from sam2nb.weights.files import read_state_file
from sam2nb.weights.registry import file_on_disk

MAX_BYTES = 16_000_000


def test_a_recipe_takes_overrides_and_an_unknown_one_is_named():
    recipe = read_recipe("nano", ("phases.0.steps=7", "image_size=128"))
    assert recipe["phases"][0]["steps"] == 7
    assert recipe["image_size"] == 128
    with pytest.raises(ValueError, match="no training recipe 'nani'; there are: aligned, nano"):
        read_recipe("nani")


def test_the_shipped_checkpoint_is_small_complete_and_finite():
    file = file_on_disk("sam2nb_nano", video=True)
    assert file is not None
    assert Path(file).stat().st_size <= MAX_BYTES
    model = load_model("sam2nb_nano", device="cpu")
    assert model.missing_parts == ()
    assert set(model.state_dict()) == set(read_state_file(file).state)
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in model.parameters())


def test_a_compact_checkpoint_holds_nearly_the_same_weights(tmp_path, small_model):
    model = small_model("eval")
    state = read_state_file(save_compact(model, tmp_path)).state
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


def test_stills_and_clips_and_the_input_sizes_alternate(materials):
    phase = Phase(
        "together", steps=9, rates={}, batch={"clips": 1, "frames": 2},
        stills_between={"photos": 0, "composed": 1}, sides=(64, 96),
    )  # fmt: skip
    make_batch = RecipeBatches(materials, image_size=64)
    batches = [make_batch(generator(0, step), phase, step) for step in range(4)]
    assert [type(batch) for batch in batches] == [ClipBatch, StillBatch, ClipBatch, StillBatch]
    assert [batch.pixels.shape[-1] for batch in batches] == [64, 64, 96, 96]


@pytest.fixture
def prepared(tmp_path, materials) -> Path:
    """A folder with the files of `prepare`: twelve photographs, six cut-outs, one texture."""
    photos, cutouts = tmp_path / "data" / "photos", tmp_path / "data" / "cutouts"
    photos.mkdir(parents=True)
    cutouts.mkdir()
    for name in ARRAYS:
        np.save(photos / f"{name}.npy", np.concatenate([getattr(materials.labels, name)] * 6))
    (photos / "names.txt").write_text("\n".join(f"{index}.jpg" for index in range(12)))
    for name in ("rgba", "sizes", "weights"):
        np.save(cutouts / f"{name}.npy", getattr(materials.cutouts, name))
    (cutouts / "names.txt").write_text("\n".join(materials.cutouts.names))
    np.save(tmp_path / "data" / "textures.npy", np.full((1, 256, 256, 3), 80, np.uint8))
    return tmp_path


@pytest.mark.slow
def test_the_whole_recipe_runs_on_a_few_images_and_continues_where_it_stopped(prepared, monkeypatch):
    monkeypatch.setattr("sam2nb.training.validate.PHOTOS", 2)
    small = (
        f"data={prepared / 'data'}", f"runs={prepared / 'runs'}", "inherit=false", "image_size=64", "threads=1",
        "held_out=3", "views=1", "validate_every=2", "phases.0.steps=2", "phases.0.batch.photos=2",
        "phases.0.sides=[64,96]", "phases.1.steps=2", "phases.1.warm_start=4", "phases.2.steps=2",
        "phases.2.sides=[64]", "phases.2.batch.frames=2",
    )  # fmt: skip
    nano.run(read_recipe("nano", small), stop_after=3, device="cpu")
    checkpoint = nano.run(read_recipe("nano", small), device="cpu")
    assert checkpoint.name == "model.safetensors"
    assert checkpoint.stat().st_size <= MAX_BYTES
    with open(checkpoint.parent / "log.csv") as stream:
        scored = {(row["phase"], row["name"]) for row in csv.DictReader(stream) if row["name"].startswith("val_")}
    assert ("polish", "val_clip") in scored and ("features", "val_box") in scored
    assert ("features", "val_clip") not in scored


def test_held_out_photographs_and_cutouts_are_never_trained_on(prepared):
    recipe = read_recipe("nano", (f"data={prepared / 'data'}", "held_out=3", "views=2"))
    training, held_out = nano.open_materials(recipe), nano.open_materials(recipe, held_out=True)
    assert held_out.photos.tolist() == [0, 1, 6, 7]  # both views of the first and fourth photograph
    assert sorted([*training.photos, *held_out.photos]) == list(range(12))
    assert not (training.cutouts.weights * held_out.cutouts.weights).any()


def test_photographs_are_listed_in_one_shuffled_order(tmp_path):
    folder = tmp_path / "mate-backgrounds" / "usr" / "share" / "backgrounds" / "mate" / "nature"
    folder.mkdir(parents=True)
    for index in range(20):
        (folder / f"{index:02d}.jpg").touch()
    recipe = read_recipe("nano", (f"raw={tmp_path}",))
    assert list_photos(recipe) == list_photos(recipe)
    assert sorted(list_photos(recipe)) == sorted(folder.iterdir()) != list_photos(recipe)
