"""Masks of overlapping tiles, joined across their seams."""

import numpy as np
import torch

from sam2nb import SAM2AutomaticMaskGenerator
from sam2nb.predict.everything.candidates import no_candidates
from sam2nb.predict.everything.tiles import join_tiles
from tests.mask_cases import OPEN, rectangle
from tests.predict.everything.cases import candidates_of

LEFT, RIGHT, SIZE_HW = (0, 0, 120, 100), (80, 0, 200, 100), (100, 200)


def test_halves_on_both_sides_of_a_seam_become_one():
    whole = rectangle(SIZE_HW, 30, 40, 170, 60)
    left, right = whole.copy(), whole.copy()
    left[:, 120:] = False
    right[:, :80] = False
    found = candidates_of([left, right], [LEFT, RIGHT], [0.8, 0.9])
    joined = join_tiles(found, SIZE_HW, 0.7)
    assert np.array_equal(joined.rles[0].to_mask(), whole) and len(joined) == 1
    assert joined.crop_boxes.tolist() == [[0, 0, 200, 100]] and 0.8 < joined.predicted_iou[0] < 0.9
    assert joined.boxes.tolist() == [[30, 40, 169, 59]]
    assert torch.equal(found.predicted_iou, torch.tensor([0.8, 0.9]))  # the candidates themselves do not change


def test_a_cut_off_mask_without_its_other_half_is_dropped():
    half = rectangle(SIZE_HW, 30, 40, 120, 60)
    elsewhere = rectangle(SIZE_HW, 130, 5, 160, 25)
    joined = join_tiles(candidates_of([half, elsewhere], [LEFT, RIGHT]), SIZE_HW, 0.7)
    assert joined.boxes.tolist() == [[130, 5, 159, 24]]


def test_an_object_that_is_whole_in_two_tiles_is_one_mask():
    mask = rectangle((100, 300), 105, 40, 118, 60)
    twice = candidates_of([mask, mask], [(0, 0, 160, 100), (60, 0, 220, 100)], [0.8, 0.9])
    assert torch.allclose(join_tiles(twice, (100, 300), 0.7).predicted_iou, torch.tensor([0.9]))


def test_neighbours_that_disagree_in_the_overlap_stay_apart():
    upper, lower = rectangle(SIZE_HW, 30, 10, 110, 30), rectangle(SIZE_HW, 90, 60, 170, 80)
    found = candidates_of([upper, lower], [LEFT, RIGHT])
    assert len(join_tiles(found, SIZE_HW, 0.7)) == 0  # both are cut off, and neither has a half


def test_an_object_that_only_the_whole_image_shows_is_kept_beside_those_of_tiles():
    large, small = rectangle(SIZE_HW, 5, 5, 195, 95), rectangle(SIZE_HW, 20, 20, 40, 40)
    joined = join_tiles(candidates_of([large, small], [(0, 0, 200, 100), LEFT]), SIZE_HW, 0.7)
    assert sorted(rle.area for rle in joined.rles) == [400, 190 * 90]


def test_no_candidates_join_to_none():
    assert len(join_tiles(no_candidates(), (9, 9), 0.7)) == 0


def test_tiles_cover_all_parts_and_masks_have_the_size_of_the_image(random_model):
    image = np.random.default_rng(2).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    generator = SAM2AutomaticMaskGenerator(random_model, 2, output_mode="coco_rle", tiles="auto", **OPEN)
    assert generator.tiles == 128
    records = generator.generate(image)
    assert generator.survivors.points == 4 * (1 + 2 * 3)  # the whole image and six tiles
    assert records and all(record["segmentation"]["size"] == [200, 260] for record in records)
