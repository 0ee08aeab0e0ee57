"""Everything mode on a small model with random weights: promises that hold for all weights."""

import logging

import numpy as np
import pytest
import torch

from sam2nb import SAM2AutomaticMaskGenerator
from sam2nb.predict import pretrained
from sam2nb.predict.everything import generator as generator_module
from sam2nb.predict.everything.decode import decode_points
from tests.mask_cases import OPEN, same_records

KEYS = ["segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"]


def test_records_have_official_keys_in_official_order_and_plain_types(open_records):
    assert len(open_records) > 10
    for record in open_records:
        assert list(record) == KEYS
        assert type(record["area"]) is int and all(type(v) is float for v in record["bbox"] + record["crop_box"])
        assert type(record["predicted_iou"]) is float and type(record["point_coords"][0][0]) is float
    assert [r["predicted_iou"] for r in open_records] == sorted(
        (r["predicted_iou"] for r in open_records), reverse=True
    )


def test_the_three_output_modes_hold_the_same_masks(random_model, noise, open_records):
    for mode in ("binary_mask", "uncompressed_rle"):
        records = SAM2AutomaticMaskGenerator(random_model, points_per_side=4, output_mode=mode, **OPEN).generate(noise)
        assert same_records(records, open_records)
    assert isinstance(records[0]["segmentation"]["counts"], list)


@pytest.mark.parametrize("points_per_batch", [1, 3, 5, 64])
@pytest.mark.parametrize("use_m2m", [False, True])
def test_points_per_batch_changes_no_bit(random_model, noise, points_per_batch, use_m2m):
    settings = {"points_per_side": 3, "output_mode": "coco_rle", "use_m2m": use_m2m, **OPEN}
    default = SAM2AutomaticMaskGenerator(random_model, **settings).generate(noise)
    other = SAM2AutomaticMaskGenerator(random_model, points_per_batch=points_per_batch, **settings).generate(noise)
    assert default and same_records(default, other)


def test_the_memory_budget_changes_no_bit(random_model, noise, open_records):
    settings = {"points_per_side": 4, "output_mode": "coco_rle", **OPEN}
    small = SAM2AutomaticMaskGenerator(random_model, memory_budget=30_000, **settings)
    large = SAM2AutomaticMaskGenerator(random_model, memory_budget=10**9, **settings)
    assert small.plan.points < large.plan.points and small.plan.pixels < large.plan.pixels
    assert same_records(small.generate(noise), open_records) and same_records(large.generate(noise), open_records)


def test_out_of_memory_halves_the_batch_warns_once_and_changes_no_mask(
    random_model, noise, open_records, monkeypatch, caplog
):
    generator = SAM2AutomaticMaskGenerator(
        random_model, points_per_side=4, output_mode="coco_rle", memory_budget=10**9, **OPEN
    )

    def limited(predictor, points, multimask):
        if len(points) > 4:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return decode_points(predictor, points, multimask)

    monkeypatch.setattr(generator_module, "decode_points", limited)
    assert generator.plan.points == 64
    with caplog.at_level(logging.WARNING):
        assert same_records(generator.generate(noise), open_records)
    assert generator.plan.points == 4
    assert sum("out of GPU memory" in message for message in caplog.messages) == 1


def test_out_of_memory_with_the_smallest_batch_is_an_error(random_model, noise, monkeypatch):
    generator = SAM2AutomaticMaskGenerator(random_model, points_per_side=2, **OPEN)

    def never(*_, **__):
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(generator.predictor, "predict_prompts", never)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        generator.generate(noise)


def test_survivors_are_counted_after_every_filter(random_model, noise):
    generator = SAM2AutomaticMaskGenerator(random_model, 4, pred_iou_thresh=0.0, stability_score_thresh=0.5)
    records = generator.generate(noise)
    left = generator.survivors
    assert (left.points, left.masks, left.confident) == (16, 48, 48)
    assert 48 >= left.stable >= left.whole >= left.distinct == left.records == len(records)
    assert str(left).startswith("16 points > 48 masks > 48 confident > ")


def test_no_survivors_give_an_empty_list(random_model, noise):
    assert SAM2AutomaticMaskGenerator(random_model, points_per_side=2, pred_iou_thresh=1.0).generate(noise) == []
    assert SAM2AutomaticMaskGenerator(random_model, 2, pred_iou_thresh=1.0, crop_n_layers=1).generate(noise) == []
    assert SAM2AutomaticMaskGenerator(random_model, 2, pred_iou_thresh=1.0, tiles=64).generate(noise) == []
    assert SAM2AutomaticMaskGenerator(random_model, 2, pred_iou_thresh=1.0, use_m2m=True).generate(noise) == []


def test_empty_masks_give_no_records(random_model, noise):
    records = SAM2AutomaticMaskGenerator(random_model, points_per_side=3, mask_threshold=1e6, **OPEN).generate(noise)
    assert records == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 200, 3), (200, 1, 3), (2, 3, 3), (40, 60), (8, 1000, 3), (30, 40, 4)])
@pytest.mark.parametrize("settings", [{}, {"crop_n_layers": 2}, {"tiles": 64}, {"min_mask_region_area": 9}])
def test_images_of_unusual_shapes_work(random_model, shape, settings):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    generator = SAM2AutomaticMaskGenerator(random_model, points_per_side=1, output_mode="coco_rle", **OPEN, **settings)
    for record in generator.generate(image):
        assert record["segmentation"]["size"] == list(shape[:2]) and record["area"] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pred_iou_thresh": 1.2}, "pred_iou_thresh must be between 0 and 1"),
        ({"stability_score_thresh": -0.1}, "stability_score_thresh must be between"),
        ({"box_nms_thresh": 7}, "box_nms_thresh must be between"),
        ({"crop_nms_thresh": float("nan")}, "crop_nms_thresh must be between"),
        ({"crop_overlap_ratio": 1.0}, "crop_overlap_ratio must be"),
        ({"points_per_batch": 0}, "points_per_batch must be at least 1"),
        ({"crop_n_layers": -1}, "crop_n_layers must be at least 0"),
        ({"min_mask_region_area": -5}, "min_mask_region_area must be at least 0"),
        ({"output_mode": "png"}, "output_mode must be one of binary_mask, uncompressed_rle, coco_rle"),
        ({"memory_budget": 0}, "memory_budget must be"),
        ({"tiles": 3}, "tiles must be"),
        ({"tiles": "big"}, "tiles must be"),
        ({"tiles": 512, "crop_n_layers": 1}, "use one of them"),
        ({"points_per_side": 0}, "leaves no point"),
        ({"points_per_side": 2, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}, "leaves no point"),
        ({"points_per_side": None}, "give either points_per_side or point_grids"),
        ({"point_grids": [np.zeros((1, 2))]}, "give either points_per_side or point_grids"),
        ({"points_per_side": None, "point_grids": [np.full((1, 2), 1.5)]}, "leaves the unit square"),
        ({"points_per_side": None, "point_grids": [np.full((1, 2), np.nan)]}, "leaves the unit square"),
        ({"points_per_side": None, "point_grids": [np.zeros((1, 3))]}, r"must be an \(N, 2\) array"),
        ({"points_per_side": None, "point_grids": [np.zeros((1, 2))], "crop_n_layers": 1}, "needs 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(random_model, settings, message):
    with pytest.raises(ValueError, match=message):
        SAM2AutomaticMaskGenerator(random_model, **settings)


def test_no_image_is_an_error(random_model):
    with pytest.raises(TypeError, match="image must be"):
        SAM2AutomaticMaskGenerator(random_model, points_per_side=1).generate(None)


def test_custom_points_are_the_prompts(random_model, noise):
    grid = np.array([[0.25, 0.5], [0.75, 0.5]])
    generator = SAM2AutomaticMaskGenerator(random_model, points_per_side=None, point_grids=[grid], **OPEN)
    prompts = {tuple(record["point_coords"][0]) for record in generator.generate(noise)}
    assert prompts == {(35.0, 45.0), (105.0, 45.0)}


def test_progress_shows_points_and_masks_kept(random_model, noise, capsys):
    SAM2AutomaticMaskGenerator(random_model, points_per_side=2, **OPEN).generate(noise, progress=True)
    shown = capsys.readouterr().err
    assert "4/4" in shown and "kept=" in shown


def test_from_pretrained_passes_options_to_the_model_and_settings_to_the_generator(random_model, monkeypatch):
    asked = {}

    def load_model(name, **options):
        asked.update(options, name=name)
        return random_model

    monkeypatch.setattr(pretrained, "load_model", load_model)
    generator = SAM2AutomaticMaskGenerator.from_pretrained("facebook/sam2-hiera-tiny", device="cpu", points_per_side=5)
    assert asked == {"name": "facebook/sam2-hiera-tiny", "device": "cpu"} and len(generator.point_grids[0]) == 25


def test_a_very_large_result_of_arrays_gives_a_warning(random_model, noise, monkeypatch, caplog):
    monkeypatch.setattr(generator_module, "LARGE_RESULT_BYTES", 1000)
    SAM2AutomaticMaskGenerator(random_model, points_per_side=1, **OPEN).generate(noise)
    assert any('output_mode="coco_rle"' in message for message in caplog.messages)
