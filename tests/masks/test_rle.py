"""Run lengths, boxes, regions, grids and enlargement; where the official package has the same function, against it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sam2nb.masks import rle as mask_ops
from sam2nb.predict.everything import crops
from sam2nb.predict.everything.upsample import enlarge_masks

DENSITIES = (0.0, 0.05, 0.5, 0.95, 1.0)


def random_masks(count: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random(tuple(rng.integers(1, 40, 2))) < DENSITIES[i % len(DENSITIES)] for i in range(count)]


def blobs(count: int, side: int = 64) -> torch.Tensor:
    """Smooth logits such as a decoder gives: a soft disc each, some partly or wholly outside."""
    torch.manual_seed(1)
    rough = F.avg_pool2d(torch.randn(count, 1, side, side), 9, 1, 4, count_include_pad=False)[:, 0] * 15
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    centre = torch.rand(count, 2, 1, 1) * side * 1.2
    radius = torch.rand(count, 1, 1) * side * 0.5
    return rough + radius - ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2).sqrt()


@pytest.fixture(scope="module")
def amg():
    return pytest.importorskip("sam2.utils.amg")


@pytest.mark.parametrize("mask", random_masks(), ids=lambda m: f"{m.shape[0]}x{m.shape[1]}")
def test_run_lengths_agree_with_official_in_both_forms(mask, amg):
    rle = mask_ops.rle_from_mask(mask)
    expected = amg.mask_to_rle_pytorch(torch.from_numpy(mask)[None])[0]
    assert rle.to_dict() == expected
    assert rle.to_coco() == amg.coco_encode_rle(expected)
    assert list(rle.box) == amg.batched_mask_to_box(torch.from_numpy(mask)).tolist()
    assert rle.area == amg.area_from_rle(expected)
    assert np.array_equal(rle.to_mask(), mask)


@pytest.mark.parametrize("mask", random_masks(10), ids=lambda m: f"{m.shape[0]}x{m.shape[1]}")
def test_every_form_of_a_segmentation_is_read_back(mask):
    rle = mask_ops.rle_from_mask(mask)
    for form in (mask, rle, rle.to_dict(), rle.to_coco()):
        assert np.array_equal(mask_ops.as_rle(form).to_mask(), mask)


@pytest.mark.parametrize("wrong", [3, {"counts": [1]}, "abc"])
def test_what_is_no_segmentation_says_so(wrong):
    with pytest.raises(TypeError, match="segmentation must be"):
        mask_ops.as_rle(wrong)


@pytest.mark.parametrize("counts", [[3, 4], "abc", "", [100]])
def test_damaged_run_lengths_say_so(counts):
    with pytest.raises(ValueError, match="do not add up to 5 x 6 pixels"):
        mask_ops.as_rle({"size": [5, 6], "counts": counts})


def test_mask_boxes_agree_with_official_for_batches_and_empty_masks(amg):
    masks = torch.rand(3, 4, 9, 7) > 0.9
    masks[0, 0] = False
    assert torch.equal(mask_ops.mask_boxes(masks), amg.batched_mask_to_box(masks))
    assert mask_ops.mask_boxes(torch.zeros(0, 5, 5, dtype=torch.bool)).shape == (0, 4)


def test_stability_agrees_with_official_and_is_zero_where_official_divides_by_zero(amg):
    logits = blobs(6)
    logits[0] = -50.0
    ours, official = mask_ops.stability_score(logits, 0.2, 0.7), amg.calculate_stability_score(logits, 0.2, 0.7)
    assert torch.equal(ours[1:], official[1:])
    assert official[0].isnan() and ours[0] == 0


@pytest.mark.parametrize("mask", random_masks(20), ids=lambda m: f"{m.shape[0]}x{m.shape[1]}")
@pytest.mark.parametrize("min_area", [1, 7, 60])
def test_small_regions_agree_with_official(mask, min_area, amg):
    filled, had_holes = amg.remove_small_regions(mask, min_area, "holes")
    ours, changed = mask_ops.fill_small_holes(mask, min_area)
    assert np.array_equal(ours, filled) and changed == had_holes
    if not mask.any():
        return
    cleaned, had_islands = amg.remove_small_regions(filled, min_area, "islands")
    ours, changed = mask_ops.clean_rle(mask_ops.rle_from_mask(mask), min_area)
    assert np.array_equal(ours.to_mask(), cleaned) and changed == (had_holes or had_islands)


def test_cleaning_a_small_part_of_a_large_picture_does_not_fill_what_surrounds_it():
    mask = np.zeros((500, 700), dtype=bool)
    mask[200:205, 300:305] = True
    mask[202, 302] = False
    cleaned, changed = mask_ops.clean_rle(mask_ops.rle_from_mask(mask), 20)
    assert changed and cleaned.area == 25 and cleaned.box == (300, 200, 304, 204)


def test_a_mask_of_a_crop_is_placed_in_the_picture():
    for mask in random_masks(10):
        picture = np.zeros((mask.shape[0] + 5, mask.shape[1] + 3), dtype=bool)
        picture[2 : 2 + mask.shape[0], 1 : 1 + mask.shape[1]] = mask
        placed = mask_ops.place_rle(mask_ops.rle_from_mask(mask), (1, 2), picture.shape)
        assert placed.to_dict() == mask_ops.rle_from_mask(picture).to_dict()


def test_merging_is_the_union():
    rng = np.random.default_rng(3)
    masks = rng.random((3, 20, 30)) > 0.8
    assert np.array_equal(mask_ops.merge_rles([mask_ops.rle_from_mask(m) for m in masks]).to_mask(), masks.any(axis=0))


@pytest.mark.parametrize("size_hw", [(150, 225), (40, 33), (64, 64), (1, 1), (1, 90), (77, 2), (64, 400)])
def test_enlarged_masks_are_those_of_torch(size_hw):
    logits = blobs(12)
    ours = enlarge_masks(logits, size_hw, threshold=0.0, offset=1.0, pixels_at_once=5000)
    full = F.interpolate(logits[:, None], size_hw, mode="bilinear", align_corners=False)[:, 0]
    for rle, expected in zip(ours.rles, full > 0, strict=True):
        assert np.array_equal(rle.to_mask(), expected.numpy())
    assert torch.equal(ours.boxes, mask_ops.mask_boxes(full > 0))
    assert torch.allclose(ours.stability, mask_ops.stability_score(full), atol=1e-4)


@pytest.mark.parametrize("pixels", [1, 700, 40_000, 10**7])
@pytest.mark.parametrize("size_hw", [(150, 225), (30, 20)])
def test_the_size_of_a_strip_changes_no_bit(pixels, size_hw):
    logits = blobs(9)
    settings = {"threshold": 0.3, "offset": 0.8}
    whole = enlarge_masks(logits, size_hw, pixels_at_once=10**9, **settings)
    strips = enlarge_masks(logits, size_hw, pixels_at_once=pixels, **settings)
    assert torch.equal(whole.stability, strips.stability) and torch.equal(whole.boxes, strips.boxes)
    assert [rle.to_dict() for rle in whole.rles] == [rle.to_dict() for rle in strips.rles]


def test_the_path_of_gpus_gives_the_same_masks(monkeypatch):
    from sam2nb.predict.everything import upsample as enlarge

    logits, size_hw = blobs(8), (150, 225)
    settings = {"threshold": 0.0, "offset": 1.0, "pixels_at_once": 50_000}
    on_cpu = enlarge.enlarge_masks(logits, size_hw, **settings)
    monkeypatch.setattr(enlarge, "_stretch", enlarge._stretch_on_gpu)
    as_on_gpu = enlarge.enlarge_masks(logits, size_hw, **settings)
    for one, other in zip(on_cpu.rles, as_on_gpu.rles, strict=True):
        assert np.array_equal(one.to_mask(), other.to_mask())
    assert torch.allclose(on_cpu.stability, as_on_gpu.stability, atol=1e-4)
    assert torch.equal(on_cpu.boxes, as_on_gpu.boxes)


def test_enlarging_nothing_gives_nothing():
    nothing = enlarge_masks(torch.zeros(0, 64, 64), (50, 60), threshold=0.0, offset=1.0, pixels_at_once=1000)
    assert nothing.rles == () and nothing.boxes.shape == (0, 4) and nothing.stability.shape == (0,)


def test_point_grids_agree_with_official(amg):
    ours, official = crops.point_grids(9, 2, 2), amg.build_all_layer_point_grids(9, 2, 2)
    assert all(np.array_equal(one, other) for one, other in zip(ours, official, strict=True))


@pytest.mark.parametrize("size_hw", [(480, 640), (97, 31), (1500, 1000)])
def test_crops_agree_with_official(size_hw, amg):
    ours = crops.crop_layers(size_hw, 2, 0.34)
    boxes, layers = amg.generate_crop_boxes(size_hw, 2, 0.34)
    assert [list(crop.box) for crop in ours] == boxes and [crop.layer for crop in ours] == layers


def test_crops_without_a_pixel_are_left_out():
    assert all(min(crop.size_hw) > 0 for crop in crops.crop_layers((1, 3), 2, 0.34))


@pytest.mark.parametrize("size_hw", [(1000, 2300), (512, 512), (513, 1025), (100, 90)])
def test_tiles_cover_the_picture_and_overlap(size_hw):
    tiles = crops.tile_crops(size_hw, 512, 0.25)
    seen = np.zeros(size_hw, dtype=int)
    for tile in tiles:
        x0, y0, x1, y1 = tile.box
        assert max(tile.size_hw) <= 512 and x1 <= size_hw[1] and y1 <= size_hw[0]
        seen[y0:y1, x0:x1] += 1
    assert seen.min() >= 1
    lefts = sorted({tile.box[0] for tile in tiles})
    assert all(right - left <= 0.75 * 512 for left, right in zip(lefts, lefts[1:], strict=False))


def test_boxes_near_a_crop_edge_agree_with_official(amg):
    crop, size_hw = (100, 50, 400, 350), (600, 400)
    boxes = torch.tensor(
        [[0, 10, 50, 60], [60, 25, 299, 90], [150, 20, 200, 100], [30, 30, 279, 280], [90, 90, 95, 95]]
    )
    placed = boxes + torch.tensor([100, 50, 100, 50])
    expected = amg.is_box_near_crop_edge(boxes, list(crop), [0, 0, size_hw[1], size_hw[0]])
    assert torch.equal(crops.is_cut_off(placed, torch.tensor([crop]), size_hw), expected)
    assert expected.any() and not expected.all()
