"""The filters on candidate masks."""

import torch

from sam2nb.predict.everything.candidates import (
    Survivors,
    clean_small_regions,
    drop_cut_off,
    drop_duplicates,
    drop_duplicates_between_crops,
    join_candidates,
    no_candidates,
)
from tests.mask_cases import rectangle
from tests.predict.everything.cases import candidates_of


def test_holes_and_islands_are_counted_in_image_pixels():
    mask = rectangle((60, 80), 10, 10, 40, 40)
    mask[20:23, 20:23] = False
    mask[50:52, 60:62] = True
    untouched = rectangle((60, 80), 12, 10, 40, 40)
    found = candidates_of([mask, untouched], [(0, 0, 80, 60)] * 2)
    assert clean_small_regions(found, 0, 0.7) is found
    cleaned = clean_small_regions(candidates_of([mask], [(0, 0, 80, 60)]), 10, 0.7)
    assert cleaned.rles[0].area == 900 and cleaned.boxes.tolist() == [[10, 10, 39, 39]]
    # after cleaning both have nearly the same box; the one that needed no cleaning stays
    assert clean_small_regions(found, 10, 0.7).boxes.tolist() == [[12, 10, 39, 39]]


def test_of_duplicates_the_better_one_stays():
    masks = [rectangle((50, 50), 5, 5, 30, 30), rectangle((50, 50), 5, 6, 30, 31), rectangle((50, 50), 35, 5, 45, 20)]
    kept = drop_duplicates(candidates_of(masks, [(0, 0, 50, 50)] * 3, [0.8, 0.9, 0.85]), 0.7)
    assert torch.allclose(kept.predicted_iou, torch.tensor([0.9, 0.85]))


def test_of_duplicates_between_crops_the_one_from_the_smaller_crop_stays():
    mask = rectangle((100, 100), 5, 5, 30, 30)
    found = candidates_of([mask, mask], [(0, 0, 100, 100), (0, 0, 60, 60)], [0.95, 0.9])
    assert drop_duplicates_between_crops(found, 0.7).crop_boxes.tolist() == [[0, 0, 60, 60]]


def test_a_mask_that_ends_at_the_edge_of_its_crop_is_dropped_unless_the_image_ends_there_too():
    inside, cut_off = rectangle((100, 200), 30, 30, 60, 60), rectangle((100, 200), 40, 30, 100, 60)
    at_the_image_edge = rectangle((100, 200), 0, 30, 40, 60)
    found = candidates_of([inside, cut_off, at_the_image_edge], [(0, 0, 100, 100)] * 3)
    assert drop_cut_off(found, (100, 200)).boxes[:, 0].tolist() == [30, 0]


def test_no_candidates_pass_every_filter():
    none = no_candidates()
    assert len(join_candidates([])) == len(drop_duplicates(none, 0.7)) == len(clean_small_regions(none, 9, 0.7)) == 0
    assert len(drop_cut_off(none, (9, 9))) == len(drop_duplicates_between_crops(none, 0.7)) == 0


def test_survivors_of_batches_add_up():
    total = Survivors(points=4, masks=12, confident=5) + Survivors(points=4, masks=12, confident=1, stable=1)
    assert total == Survivors(points=8, masks=24, confident=6, stable=1)
    assert str(total).startswith("8 points > 24 masks > 6 confident > 1 stable > ")
