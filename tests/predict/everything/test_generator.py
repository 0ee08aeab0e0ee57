"""Everything mode on a small model with random weights: what it promises whatever the weights."""

import logging

import numpy as np
import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.export import masks as export
from sam2nb.masks.rle import as_rle, rle_from_mask
from sam2nb.predict import pretrained
from sam2nb.predict.everything import generator as mask_generator
from sam2nb.predict.everything.candidates import (
    Candidates,
    clean_small_regions,
    concatenate,
    drop_duplicates,
    no_candidates,
)
from sam2nb.predict.everything.decode import ask_points
from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator
from sam2nb.predict.everything.records import filter_records, label_map, record_at
from sam2nb.predict.everything.tiles import join_tiles

OPEN = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
KEYS = ["segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=128"])


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (90, 140, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def open_records(model, picture):
    return SAM2AutomaticMaskGenerator(model, points_per_side=4, output_mode="coco_rle", **OPEN).generate(picture)


def same(ones, others) -> bool:
    return [dict(r, segmentation=as_rle(r["segmentation"]).to_dict()) for r in ones] == [
        dict(r, segmentation=as_rle(r["segmentation"]).to_dict()) for r in others
    ]


def candidates(masks: list[np.ndarray], crops: list[tuple], iou: list[float] | None = None) -> Candidates:
    rles = tuple(rle_from_mask(mask) for mask in masks)
    return Candidates(
        points=torch.tensor([rle.box[:2] for rle in rles], dtype=torch.float32),
        predicted_iou=torch.tensor(iou or [0.9] * len(rles)),
        stability=torch.full((len(rles),), 0.97),
        boxes=torch.tensor([rle.box for rle in rles]),
        crop_boxes=torch.tensor(crops),
        rles=rles,
    )


def rectangle(size_hw, x0, y0, x1, y1) -> np.ndarray:
    mask = np.zeros(size_hw, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_records_have_official_keys_in_official_order_and_plain_types(open_records):
    assert len(open_records) > 10
    for record in open_records:
        assert list(record) == KEYS
        assert type(record["area"]) is int and all(type(v) is float for v in record["bbox"] + record["crop_box"])
        assert type(record["predicted_iou"]) is float and type(record["point_coords"][0][0]) is float
    assert [r["predicted_iou"] for r in open_records] == sorted(
        (r["predicted_iou"] for r in open_records), reverse=True
    )


def test_the_three_output_modes_hold_the_same_masks(model, picture, open_records):
    for mode in ("binary_mask", "uncompressed_rle"):
        records = SAM2AutomaticMaskGenerator(model, points_per_side=4, output_mode=mode, **OPEN).generate(picture)
        assert same(records, open_records)
    assert isinstance(records[0]["segmentation"]["counts"], list)


@pytest.mark.parametrize("points_per_batch", [1, 3, 5, 64])
@pytest.mark.parametrize("use_m2m", [False, True])
def test_points_per_batch_changes_no_bit(model, picture, points_per_batch, use_m2m):
    settings = {"points_per_side": 3, "output_mode": "coco_rle", "use_m2m": use_m2m, **OPEN}
    usual = SAM2AutomaticMaskGenerator(model, **settings).generate(picture)
    other = SAM2AutomaticMaskGenerator(model, points_per_batch=points_per_batch, **settings).generate(picture)
    assert usual and same(usual, other)


def test_the_memory_budget_changes_no_bit(model, picture, open_records):
    small = SAM2AutomaticMaskGenerator(model, points_per_side=4, output_mode="coco_rle", memory_budget=30_000, **OPEN)
    large = SAM2AutomaticMaskGenerator(model, points_per_side=4, output_mode="coco_rle", memory_budget=10**9, **OPEN)
    assert small.plan.points < large.plan.points and small.plan.pixels < large.plan.pixels
    assert same(small.generate(picture), open_records) and same(large.generate(picture), open_records)


def test_out_of_memory_halves_the_batch_says_so_once_and_finds_the_same(
    model, picture, open_records, monkeypatch, caplog
):
    generator = SAM2AutomaticMaskGenerator(
        model, points_per_side=4, output_mode="coco_rle", memory_budget=10**9, **OPEN
    )

    def tight(predictor, points, multimask):
        if len(points) > 4:
            raise torch.cuda.OutOfMemoryError("no room")
        return ask_points(predictor, points, multimask)

    monkeypatch.setattr(mask_generator, "ask_points", tight)
    assert generator.plan.points == 64
    with caplog.at_level(logging.WARNING):
        assert same(generator.generate(picture), open_records)
    assert generator.plan.points == 4
    assert sum("out of GPU memory" in message for message in caplog.messages) == 1


def test_out_of_memory_with_the_least_batch_is_an_error(model, picture, monkeypatch):
    generator = SAM2AutomaticMaskGenerator(model, points_per_side=2, **OPEN)

    def never(*_, **__):
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(generator.predictor, "predict_prompts", never)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        generator.generate(picture)


def test_survivors_are_counted_at_every_step(model, picture):
    generator = SAM2AutomaticMaskGenerator(model, points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.5)
    records = generator.generate(picture)
    left = generator.survivors
    assert (left.points, left.answers, left.confident) == (16, 48, 48)
    assert 48 >= left.stable >= left.whole >= left.distinct == left.records == len(records)
    assert str(left).startswith("16 points > 48 answers > 48 confident > ")


def test_filtering_open_records_equals_generating_with_those_thresholds(model, picture, open_records):
    scores = sorted(r["predicted_iou"] for r in open_records)
    stabilities = sorted(r["stability_score"] for r in open_records)
    limits = {
        "pred_iou_thresh": scores[len(scores) // 4],
        "stability_score_thresh": stabilities[len(stabilities) // 3],
        "box_nms_thresh": 0.6,
    }
    wanted = SAM2AutomaticMaskGenerator(model, points_per_side=4, output_mode="coco_rle", **limits).generate(picture)
    assert 0 < len(wanted) < len(open_records)
    assert same(filter_records(open_records, **limits), wanted)


def test_nothing_survives_gives_an_empty_list(model, picture):
    assert SAM2AutomaticMaskGenerator(model, points_per_side=2, pred_iou_thresh=1.0).generate(picture) == []
    assert SAM2AutomaticMaskGenerator(model, 2, pred_iou_thresh=1.0, crop_n_layers=1).generate(picture) == []
    assert SAM2AutomaticMaskGenerator(model, 2, pred_iou_thresh=1.0, tiles=64).generate(picture) == []
    assert SAM2AutomaticMaskGenerator(model, 2, pred_iou_thresh=1.0, use_m2m=True).generate(picture) == []


def test_masks_without_a_pixel_are_no_records(model, picture):
    records = SAM2AutomaticMaskGenerator(model, points_per_side=3, mask_threshold=1e6, **OPEN).generate(picture)
    assert records == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 200, 3), (200, 1, 3), (2, 3, 3), (40, 60), (8, 1000, 3), (30, 40, 4)])
@pytest.mark.parametrize("settings", [{}, {"crop_n_layers": 2}, {"tiles": 64}, {"min_mask_region_area": 9}])
def test_odd_pictures_do_not_crash(model, shape, settings):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    generator = SAM2AutomaticMaskGenerator(model, points_per_side=1, output_mode="coco_rle", **OPEN, **settings)
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
def test_settings_that_make_no_sense_are_refused_by_name(model, settings, message):
    with pytest.raises(ValueError, match=message):
        SAM2AutomaticMaskGenerator(model, **settings)


def test_no_image_is_an_error(model):
    with pytest.raises(TypeError, match="image must be"):
        SAM2AutomaticMaskGenerator(model, points_per_side=1).generate(None)


def test_own_points_are_asked(model, picture):
    grid = np.array([[0.25, 0.5], [0.75, 0.5]])
    generator = SAM2AutomaticMaskGenerator(model, points_per_side=None, point_grids=[grid], **OPEN)
    asked = {tuple(record["point_coords"][0]) for record in generator.generate(picture)}
    assert asked == {(35.0, 45.0), (105.0, 45.0)}


def test_progress_shows_points_and_masks_kept(model, picture, capsys):
    SAM2AutomaticMaskGenerator(model, points_per_side=2, **OPEN).generate(picture, progress=True)
    shown = capsys.readouterr().err
    assert "4/4" in shown and "kept=" in shown


def test_holes_and_islands_are_counted_in_pixels_of_the_picture():
    mask = rectangle((60, 80), 10, 10, 40, 40)
    mask[20:23, 20:23] = False
    mask[50:52, 60:62] = True
    untouched = rectangle((60, 80), 12, 10, 40, 40)
    found = candidates([mask, untouched], [(0, 0, 80, 60)] * 2)
    assert clean_small_regions(found, 0, 0.7) is found
    cleaned = clean_small_regions(candidates([mask], [(0, 0, 80, 60)]), 10, 0.7)
    assert cleaned.rles[0].area == 900 and cleaned.boxes.tolist() == [[10, 10, 39, 39]]
    # after cleaning both have nearly the same box; the one that needed no cleaning stays
    assert clean_small_regions(found, 10, 0.7).boxes.tolist() == [[12, 10, 39, 39]]


def test_of_duplicates_the_better_one_stays():
    masks = [rectangle((50, 50), 5, 5, 30, 30), rectangle((50, 50), 5, 6, 30, 31), rectangle((50, 50), 35, 5, 45, 20)]
    kept = drop_duplicates(candidates(masks, [(0, 0, 50, 50)] * 3, [0.8, 0.9, 0.85]), 0.7)
    assert torch.allclose(kept.predicted_iou, torch.tensor([0.9, 0.85]))


def test_no_candidates_go_through_every_step():
    nothing = no_candidates()
    assert len(concatenate([])) == len(drop_duplicates(nothing, 0.7)) == len(join_tiles(nothing, (9, 9), 0.7)) == 0
    assert filter_records([]) == [] and label_map([], (4, 5)).shape == (4, 5)


LEFT, RIGHT, SIZE = (0, 0, 120, 100), (80, 0, 200, 100), (100, 200)


def test_halves_on_both_sides_of_a_seam_become_one():
    thing = rectangle(SIZE, 30, 40, 170, 60)
    left, right = thing.copy(), thing.copy()
    left[:, 120:] = False
    right[:, :80] = False
    joined = join_tiles(candidates([left, right], [LEFT, RIGHT], [0.8, 0.9]), SIZE, 0.7)
    assert np.array_equal(joined.rles[0].to_mask(), thing) and len(joined) == 1
    assert joined.crop_boxes.tolist() == [[0, 0, 200, 100]] and 0.8 < joined.predicted_iou[0] < 0.9


def test_a_cut_off_mask_without_its_other_half_is_dropped():
    half = rectangle(SIZE, 30, 40, 120, 60)
    elsewhere = rectangle(SIZE, 130, 5, 160, 25)
    assert join_tiles(candidates([half, elsewhere], [LEFT, RIGHT]), SIZE, 0.7).boxes.tolist() == [[130, 5, 159, 24]]


def test_a_thing_seen_whole_by_two_tiles_is_one_record():
    thing = rectangle((100, 300), 105, 40, 118, 60)
    twice = candidates([thing, thing], [(0, 0, 160, 100), (60, 0, 220, 100)], [0.8, 0.9])
    assert torch.allclose(join_tiles(twice, (100, 300), 0.7).predicted_iou, torch.tensor([0.9]))


def test_neighbours_that_disagree_in_the_overlap_stay_apart():
    upper, lower = rectangle(SIZE, 30, 10, 110, 30), rectangle(SIZE, 90, 60, 170, 80)
    found = candidates([upper, lower], [LEFT, RIGHT])
    assert len(join_tiles(found, SIZE, 0.7)) == 0  # both are cut off, and neither has a half


def test_what_only_the_whole_picture_shows_is_kept_beside_the_tiles():
    large, small = rectangle(SIZE, 5, 5, 195, 95), rectangle(SIZE, 20, 20, 40, 40)
    joined = join_tiles(candidates([large, small], [(0, 0, 200, 100), LEFT]), SIZE, 0.7)
    assert sorted(rle.area for rle in joined.rles) == [400, 190 * 90]


def test_tiles_find_masks_in_all_parts_and_keep_the_size_of_the_picture(model):
    picture = np.random.default_rng(2).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    generator = SAM2AutomaticMaskGenerator(model, 2, output_mode="coco_rle", tiles="auto", **OPEN)
    assert generator.tiles == 128
    records = generator.generate(picture)
    assert generator.survivors.points == 4 * (1 + 2 * 3)  # the whole picture and six tiles
    assert records and all(record["segmentation"]["size"] == [200, 260] for record in records)


def test_coco_files_are_read_back_and_understood_by_pycocotools(open_records, picture, tmp_path):
    from pycocotools.coco import COCO

    path = export.save_coco(open_records, tmp_path / "new" / "masks.json", picture.shape[:2], "photo.jpg")
    records, size_hw = export.load_coco(path)
    assert size_hw == picture.shape[:2] and same(records, open_records)
    data = COCO(path)
    assert [data.annToMask(a).sum() for a in data.loadAnns(data.getAnnIds())] == [r["area"] for r in open_records]


def test_coco_polygons_of_other_programs_are_read(tmp_path):
    path = tmp_path / "other.json"
    path.write_text(
        '{"images": [{"id": 7, "height": 20, "width": 30}], "annotations": [{"image_id": 7, "segmentation": '
        "[[2, 2, 12, 2, 12, 10, 2, 10]]}]}"
    )
    (record,), size_hw = export.load_coco(path)
    assert size_hw == (20, 30) and record["area"] == 80 and "predicted_iou" not in record


def test_yolo_outlines_are_read_back_where_masks_have_no_holes(tmp_path):
    masks = [rectangle((90, 140), 10, 20, 60, 50), rectangle((90, 140), 100, 60, 140, 90)]
    masks[0][30:35, 60:70] = True
    records = [{"segmentation": mask} for mask in masks]
    path = export.save_yolo(records, tmp_path / "photo.txt", class_id=3)
    back = export.load_yolo(path, (90, 140))
    assert [r["class_id"] for r in back] == [3, 3]
    for record, mask in zip(back, masks, strict=True):
        assert np.array_equal(as_rle(record["segmentation"]).to_mask(), mask)


def test_damaged_yolo_lines_are_named(tmp_path):
    path = tmp_path / "photo.txt"
    for wrong in ("0 0.1 0.2 0.3", "cat 0.1 0.2 0.3 0.4 0.5 0.6", "0 0.1 0.1 0.5 0.5", "0 0.1 0.2 1.3 0.4 0.5 0.6"):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="line 1"):
            export.load_yolo(path, (10, 10))


@pytest.mark.parametrize("count", [3, 300])
def test_label_maps_are_read_back(count, tmp_path):
    masks = [rectangle((40, 50), i % 50, i // 50 * 3, i % 50 + 1, i // 50 * 3 + 2) for i in range(count)]
    masks[0] = np.ones((40, 50), dtype=bool)
    path = export.save_label_map([{"segmentation": mask} for mask in masks], tmp_path / "labels.png", (40, 50))
    back = export.load_label_map(path)
    assert [record["label"] for record in back] == list(range(1, count + 1))
    assert np.array_equal(as_rle(back[1]["segmentation"]).to_mask(), masks[1])
    assert back[0]["area"] == 2000 - 2 * (count - 1)  # the large mask lies below


def test_overlays_are_drawn_in_the_picture_s_size(open_records, picture, tmp_path):
    drawn = export.draw_overlay(picture, open_records)
    assert drawn.shape == picture.shape and drawn.dtype == np.uint8 and not np.array_equal(drawn, picture)
    assert np.array_equal(export.draw_overlay(picture, []), picture)
    assert export.save_overlay(picture, open_records, tmp_path / "o.jpg").stat().st_size > 500
    with pytest.raises(ValueError, match="path must end in"):
        export.save_overlay(picture, open_records, tmp_path / "o.txt")


def test_detections_keep_order_and_scores(open_records):
    detections = export.to_detections(open_records)
    assert detections.mask.sum(axis=(1, 2)).tolist() == [record["area"] for record in open_records]
    assert detections.confidence == pytest.approx([record["predicted_iou"] for record in open_records])
    assert len(export.to_detections([])) == 0


def test_the_smallest_mask_under_a_pixel_is_found():
    records = [{"segmentation": rectangle((20, 30), 0, 0, 30, 20)}, {"segmentation": rectangle((20, 30), 5, 5, 9, 9)}]
    assert record_at(records, (6, 6)) == 1 and record_at(records, (20, 10)) == 0 and record_at([], (0, 0)) is None
    with pytest.raises(ValueError, match="xy must lie in the picture"):
        record_at(records, (30, 0))


def test_formats_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match="formats must be some of coco, yolo, labels, overlay, got gif"):
        export.check_formats(["coco", "gif"])


def test_sliders_filter_the_records_and_redraw_the_picture(open_records, picture):
    from sam2nb.widgets.thresholds import ThresholdExplorer

    explorer = ThresholdExplorer(picture, open_records, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    everything, before = explorer.kept, explorer._picture.value
    assert explorer.widget.children[3].value == f"{len(everything)} of {len(open_records)} masks"
    explorer.sliders["pred_iou_thresh"].value = 1.0
    assert explorer.kept == [] and explorer._picture.value != before
    data, _ = explorer._repr_mimebundle_()
    assert {"image/jpeg", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
    with pytest.raises(ValueError, match="thresholds must be some of"):
        ThresholdExplorer(picture, open_records, iou=0.5)


def test_peak_memory_sees_what_was_allocated_in_between():
    from sam2nb.evaluation.memory import PeakMemory

    with PeakMemory() as peak:
        np.ones(20_000_000)  # 160 MB, gone at once
    assert 120e6 < peak.bytes < 400e6
    with PeakMemory() as peak:
        pass
    assert peak.bytes < 20e6


def test_from_pretrained_splits_what_is_the_model_s_from_what_is_the_generator_s(model, monkeypatch):
    asked = {}
    monkeypatch.setattr(pretrained, "load_model", lambda name, **kwargs: asked.update(name=name, **kwargs) or model)
    generator = SAM2AutomaticMaskGenerator.from_pretrained("facebook/sam2-hiera-tiny", device="cpu", points_per_side=5)
    assert asked == {"name": "facebook/sam2-hiera-tiny", "device": "cpu"} and len(generator.point_grids[0]) == 25


def test_arrays_for_very_many_pixels_are_warned_about(model, picture, monkeypatch, caplog):
    from sam2nb.predict.everything import generator as mask_generator

    monkeypatch.setattr(mask_generator, "LARGE_RESULT_BYTES", 1000)
    SAM2AutomaticMaskGenerator(model, points_per_side=1, **OPEN).generate(picture)
    assert any('output_mode="coco_rle"' in message for message in caplog.messages)


def test_parts_without_an_outline_are_left_out_of_yolo_labels(tmp_path):
    crumb = rectangle((20, 30), 4, 4, 5, 5)
    assert export.save_yolo([{"segmentation": crumb}], tmp_path / "crumb.txt").read_text() == ""
    assert export.load_yolo(tmp_path / "crumb.txt", (20, 30)) == []


def test_files_of_another_kind_are_refused(tmp_path, picture):
    from PIL import Image

    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ValueError, match="not a COCO file"):
        export.load_coco(tmp_path / "x.json")
    Image.fromarray(picture).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="not a label map"):
        export.load_label_map(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="the picture has"):
        label_map([{"segmentation": rectangle((20, 30), 4, 4, 5, 5)}], (30, 20))
