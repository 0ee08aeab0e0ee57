"""The checkers of notebook 03 tell right from wrong, and what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from sam2nb.notebook import check


def keep(boxes, scores, limit, at_limit=False, clip=True):
    kept = []
    for index in np.argsort(-scores).tolist():
        for other in kept:
            sides = np.minimum(boxes[index, 2:], boxes[other, 2:]) - np.maximum(boxes[index, :2], boxes[other, :2])
            shared = np.prod(sides.clip(0) if clip else sides)
            areas = sum(np.prod(boxes[i, 2:] - boxes[i, :2]) for i in (index, other))
            iou = shared / (areas - shared)
            if iou > limit or (at_limit and iou == limit):
                break
        else:
            kept.append(index)
    return kept


def all_better(boxes, scores, limit):
    order = np.argsort(-scores).tolist()
    pairs = {i: [keep(boxes[[j, i]], scores[[j, i]], limit) for j in order[:n]] for n, i in enumerate(order)}
    return [i for i in order if all(pair == [0, 1] for pair in pairs[i])]


def verdict(capsys, name, answer, **given):
    check(name, answer, **given)
    return capsys.readouterr().out.strip().removeprefix(f"{name}: ")


@pytest.mark.parametrize(
    "answer",
    [
        keep,
        lambda *args: tuple(keep(*args)),
        lambda *args: np.array(keep(*args)),
        lambda boxes, scores, limit: nms(torch.tensor(boxes), torch.tensor(scores), limit),
    ],
)
def test_distinct_boxes_may_come_as_any_list_of_indices(capsys, answer):
    assert verdict(capsys, "03.keep_distinct", answer) == "correct"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda *args: keep(*args, clip=False), "below 0 counts as 0"),
        (lambda *args: keep(*args, at_limit=True), "at most"),
        (lambda *args: args[0][keep(*args)], "list of indices"),
        (lambda *args: [True] * len(args[0]), "list of indices"),
        (lambda *args: [i + 1 for i in keep(*args)], "between 0 and 1"),
        (lambda *args: sorted(keep(*args)), "not best first"),
        (lambda boxes, *_: list(range(len(boxes))), "IoU is 0.82"),
        (lambda *args: all_better(*args), "kept boxes only"),
    ],
)
def test_wrong_distinct_boxes_are_told_apart(capsys, answer, told):
    assert told in verdict(capsys, "03.keep_distinct", answer)


def test_a_stability_of_every_pixel_is_told_in_words(capsys):
    told = verdict(capsys, "03.stability", lambda logits, offset: (logits > offset) * 1.0)
    assert told == "one number is wanted, not an array of shape (30, 40)"
    assert "upside down" in verdict(capsys, "03.stability", lambda x, o: (x > -o).sum() / (x > o).sum())
    assert verdict(capsys, "03.stability", lambda x, o: (x > o).sum() / (x > -o).sum()) == "correct"


def test_thresholds_of_another_name_or_kind_are_named(capsys):
    records = [{"predicted_iou": 0.9, "stability_score": 0.99, "area": 9, "bbox": [0.0, 0.0, 3.0, 3.0]}]
    assert "no argument 'stability'" in verdict(capsys, "03.thresholds", {"stability": 0.98}, records=records)
    told = verdict(capsys, "03.thresholds", {"stability_score_thresh": "0.98"}, records=records)
    assert told == "stability_score_thresh must be a number, not '0.98'"
    told = verdict(capsys, "03.thresholds", {"stability_score_thresh": 0.98}, records=records)
    assert told == "1 masks are left, not 8 to 12: too strict"


def middle(records, size_hw, low=1, high=10):
    whole = size_hw[0] * size_hw[1]
    return [record for record in records if low <= 100 * record["area"] / whole <= high]


def test_middle_sized_wants_the_records_themselves(capsys):
    assert verdict(capsys, "03.middle_sized", middle) == "correct"
    assert verdict(capsys, "03.middle_sized", lambda *args: filter(None, middle(*args))) == "correct"
    told = verdict(capsys, "03.middle_sized", lambda *args: [1, 2, 3])
    assert told == "return a list of the records themselves, not of their areas or indices"
    assert "the ends belong" in verdict(capsys, "03.middle_sized", lambda r, s: middle(r, s, 1.001, 9.999))


def test_middle_sized_takes_areas_of_masks_not_of_boxes(capsys):
    def by_box(records, size_hw):
        return [record for record in records if 100 <= record["bbox"][2] * record["bbox"][3] <= 1000]

    assert "are right" in verdict(capsys, "03.middle_sized", by_box)
