"""Checked exercises: not attempted, correct, or what differs; every right answer is accepted."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sam2nb import notebook
from sam2nb.notebook.check import exercise_names
from sam2nb.notebook.exercises import pictures


def right_iou(first, second):
    return (first & second).sum() / (first | second).sum()


def test_an_untouched_stub_is_not_attempted(printed):
    notebook.check("02.iou", ...)
    assert printed() == "02.iou: not attempted"


def test_a_function_that_still_returns_the_stub_is_not_attempted(printed):
    notebook.check("02.iou", lambda first, second: ...)
    assert printed() == "02.iou: not attempted"


def test_a_forgotten_return_is_told(printed):
    notebook.check("02.iou", lambda first, second: None)
    assert "did you forget `return`" in printed()
    notebook.check("07.spatial_memories", None)
    assert "your answer is None; if a function made it" in printed()


def test_a_called_function_in_place_of_the_function_is_told(printed):
    notebook.check("02.iou", 0.5)
    assert "give the function itself" in printed()


def test_correct_wrong_and_raising_solutions_are_told_apart(printed):
    notebook.check("02.iou", right_iou)
    assert printed() == "02.iou: correct"
    notebook.check("02.iou", lambda first, second: (first & second).sum() / first.sum())
    assert "0.143 is right" in printed()
    notebook.check("02.iou", lambda first, second: first["a"])
    assert "your answer raised IndexError" in printed()


def test_for_graders_a_solution_that_is_not_correct_raises(printed):
    notebook.require("02.iou", right_iou)
    for answer, reason in ((..., "not attempted"), (lambda a, b: 0.0, "0.143 is right")):
        with pytest.raises(AssertionError, match=f"02.iou: .*{reason}"):
            notebook.require("02.iou", answer)
    assert printed() == ""


def test_an_unknown_exercise_is_an_error_of_the_author():
    with pytest.raises(ValueError, match="99.nothing.*02.iou"):
        notebook.check("99.nothing", 1)
    with pytest.raises(ValueError, match="did you mean '02.iou'"):
        notebook.check("02.iuo", 1)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda mask: f"{mask.mean():.0%}", "one number is wanted, not a str"),
        (lambda mask: sum(mask) / mask.size, "one number is wanted, not an array of shape (6,)"),
        (lambda mask: round(mask.mean(), 1), "for a mask with 1 of 7 pixels set, 0.142857 is right"),
        (lambda mask: [1, 2], "one number is wanted, not a list"),
        (lambda mask: {}, "what your function returns has another form than is asked for (TypeError"),
    ],
    ids=["text", "array", "rounded", "list", "other"],
)
def test_an_answer_of_another_kind_is_told_in_words(wrong, reason, printed):
    notebook.check("01.covered", wrong)
    assert printed().startswith(f"01.covered: {reason}")


class OneMask:
    """A predictor whose masks cover a box around the click, reached only from inside the white of the cup."""

    original_sizes = [(400, 600)]

    def predict(self, point_coords, point_labels):
        x, y = point_coords[0]
        masks = np.zeros((1, 400, 600), bool)
        masks[0, 20:200, 180:400] = 20 <= y < 200 and 180 <= x < 400
        masks[0, 350:, 500:] = x > 500
        return masks, np.ones(1), None


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ((270, 60), "correct"),
        ([[270, 60]], "correct"),
        ((60, 270), "but not the white of the cup. Did you swap x and y? (270, 60) would be right"),
        ((520, 350), "not the white of the cup"),
        ((10, 10), "not the white of the cup"),
        ((900, 20), "(900, 20) lies outside the picture, which is 600 wide and 400 high"),
        ("270, 60", "give two numbers (x, y), not a str"),
        ([(1, 2), (3, 4)], "give one point (x, y), not an array of shape (2, 2)"),
    ],
)
def test_a_click_on_the_cup_is_judged_by_what_its_mask_takes_in(answer, verdict, printed):
    notebook.check("01.cup_click", answer, predictor=OneMask())
    assert printed().endswith(verdict)


def test_a_predictor_of_another_picture_is_told(printed):
    predictor = OneMask()
    predictor.original_sizes = [(300, 451)]
    notebook.check("01.cup_click", (270, 60), predictor=predictor)
    assert "the predictor holds another picture" in printed()


def test_the_tight_box_may_include_the_last_pixel_or_not(printed):
    def box(mask, extra=0):
        ys, xs = np.nonzero(mask)
        return [xs.min(), ys.min(), xs.max() + extra, ys.max() + extra]

    for extra in (0, 1):
        notebook.check("02.tight_box", lambda mask, extra=extra: box(mask, extra))
        assert printed() == "02.tight_box: correct"
    notebook.check("02.tight_box", lambda mask: box(mask.T))
    assert "for columns 3 to 9 and rows 1 to 4" in printed()
    notebook.check("01.covered", lambda mask: mask.mean())
    assert printed() == "01.covered: correct"


@pytest.mark.parametrize("strict", [True, False])
def test_where_all_values_differ_a_strict_comparison_finds_the_same_front(strict, printed):
    def not_beaten(cost, gain):
        def beats(j, i):
            better = gain[j] > gain[i] if strict else gain[j] >= gain[i]
            return j != i and (cost[j] < cost[i] if strict else cost[j] <= cost[i]) and better

        return [i for i in range(len(cost)) if not any(beats(j, i) for j in range(len(cost)))]

    notebook.check("05.not_beaten", not_beaten)
    assert printed() == "05.not_beaten: correct"


@pytest.mark.parametrize(
    "count", [lambda e, m, b: (b - e) // m, lambda e, m, b: int((b - e) / m)], ids=["floor", "integer"]
)
def test_objects_in_time_may_be_rounded_down_in_any_way(count, printed):
    notebook.check("05.objects_in_time", lambda e, m, b: max(0, count(e, m, b)))
    assert printed() == "05.objects_in_time: correct"


FRAMES = [0, 19, 20, 21, 22, 23, 24]


@pytest.mark.parametrize(
    "answer",
    [FRAMES, set(FRAMES), tuple(FRAMES), np.array(FRAMES), dict.fromkeys(FRAMES), (f for f in FRAMES), FRAMES[::-1]],
    ids=lambda answer: type(answer).__name__,
)
def test_any_collection_of_the_remembered_frames_is_right(answer, printed):
    notebook.check("07.spatial_memories", answer)
    assert printed() == "07.spatial_memories: correct"


def test_a_wrong_list_of_frames_is_told_without_the_rule(printed):
    notebook.check("07.spatial_memories", [0, 18, 24])
    assert printed() == "07.spatial_memories: 5 missing, too many: [18]"


def attention_scores(queries, keys):
    return queries @ keys.T / np.sqrt(queries.shape[1])


def attention_shares(queries, keys):
    weights = np.exp(attention_scores(queries, keys))
    return weights / weights.sum(axis=1, keepdims=True)


def attended(queries, keys, values):
    return attention_shares(queries, keys) @ values


@pytest.mark.parametrize(
    ("name", "right", "wrong", "reason"),
    [
        ("07.scores", attention_scores, lambda q, k: q @ k.T, "square root of c"),
        ("07.scores", attention_scores, lambda q, k: attention_scores(k, q), "transposed"),
        ("07.shares", attention_shares, attention_scores, "sum to 1"),
        (
            "07.attention",
            attended,
            lambda q, k, v: attention_scores(q, k) @ v,
            "turn the scores into shares first",
        ),
        ("07.attention", attended, lambda q, k, v: attended(q, k, v)[:, ::-1], "other numbers, by up to"),
        (
            "07.mask_product",
            lambda f, u: np.tensordot(f, u, axes=1),
            lambda f, u: u.sum(axis=0),
            "the filter is not used",
        ),
        ("08.gain", lambda b, a: (a - b) / (1 - b), lambda b, a: a - b, "from 0.25 to 0.75, 0.667 is right"),
    ],
)
def test_the_steps_of_attention_and_the_gain_are_judged(name, right, wrong, reason, printed):
    notebook.check(name, right)
    assert printed() == f"{name}: correct"
    notebook.check(name, wrong)
    assert reason in printed()


def softmax(scores, axis=1):
    return np.exp(scores) / np.exp(scores).sum(axis=axis, keepdims=True)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda s: s / s.sum(axis=1, keepdims=True), "some shares are negative: take `np.exp`"),
        (lambda s: softmax(4 * s), "divide the scores by the square root of c before"),
        (lambda s: softmax(s / 4), "divided by c; divide by its square root"),
        (lambda s: softmax(10 * s), "leave out the factor 10: it"),
        (lambda s: softmax(s, axis=0), "every column sums to 1"),
        (lambda s: np.exp(s) / np.exp(s).sum(axis=1), "keepdims=True"),
        (lambda s: softmax(s**2), "are not `np.exp` of the scores"),
    ],
)
def test_a_wrong_softmax_is_told_where_it_went_wrong(wrong, reason, printed):
    notebook.check("07.shares", lambda q, k: wrong(attention_scores(q, k)))
    assert reason in printed()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda f, u: np.tensordot(f, u, axes=1) > 0, "this is the mask"),
        (lambda f, u: (f[:, None, None] * u).mean(axis=0), "this is the mean"),
        (lambda f, u: np.tensordot(f, u, axes=1) / np.sqrt(len(f)), "no square root"),
        (lambda f, u: f * u, "channels are the first axis"),
        (lambda f, u: np.tensordot(-f, u, axes=1), "the numbers are not"),
    ],
)
def test_a_wrong_mask_product_is_told_where_it_went_wrong(wrong, reason, printed):
    notebook.check("07.mask_product", wrong)
    assert reason in printed()


@pytest.mark.parametrize(("answer", "reason"), [([0, 21, 22, 23, 24], "the full model reads six"), ("0 19", "such as")])
def test_a_small_bank_and_a_text_are_told_for_what_they_are(answer, reason, printed):
    notebook.check("07.spatial_memories", answer)
    assert reason in printed()


def test_exercises_are_listed_in_the_order_of_the_notebooks():
    names = exercise_names()
    assert names[0].startswith("01.") and names[-1] == "capstone"
    assert [name.split(".")[0] for name in names] == sorted(name.split(".")[0] for name in names)


class CupWithoutCoffee:
    """A predictor that always answers with the traced cup, less its coffee."""

    def predict(self, **prompts):
        mask = notebook.photo_mask("coffee_cup_traced").copy()
        mask[60:200, 190:390] = False
        return mask[None], np.ones(1), None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"box": [174, 18, 408, 312]}, "must be at least 0.85; your mask leaves out the coffee"),
        ({"points": [[1, 2]]}, "'points' cannot be used here; the keys are box, point_coords, point_labels"),
        ({"point_coords": [[1, 2]]}, "one label for each click; yours has 0 for 1"),
        ({"point_coords": [1, 2], "point_labels": [1]}, "a list of clicks such as [[300, 150]]"),
        ({"box": [1, 2, 3, 4], "point_coords": [[1, 2]] * 2, "point_labels": [1, 1]}, "yours has 3"),
        ({}, "yours has 0"),
        ([[1, 2]], "answer with a dict"),
        ({"point_coords": "here", "point_labels": [1]}, "your answer, a dict, has another form than is asked for"),
    ],
    ids=["coffee", "key", "labels", "shape", "three", "none", "list", "text"],
)
def test_two_wrong_prompts_are_told_by_what_is_wrong_with_them(answer, reason, printed):
    given = {"predictor": CupWithoutCoffee(), "truth": notebook.photo_mask("coffee_cup_traced")}
    notebook.check("02.two_prompts", answer, **given)
    assert reason in printed()


def test_a_wrong_mask_is_shown_beside_the_right_one_in_a_notebook(monkeypatch, printed):
    monkeypatch.setattr(pictures, "in_notebook", lambda: True)
    given = {"predictor": CupWithoutCoffee(), "truth": notebook.photo_mask("coffee_cup_traced")}
    notebook.check("02.two_prompts", {"box": [174, 18, 408, 312]}, **given)
    assert [ax.get_title() for ax in plt.gcf().axes] == ["your mask", "the cup"]
