"""The checkers of notebook 04: plausible wrong answers are told from right ones."""

from __future__ import annotations

import numpy as np
import pytest

from sam2nb.notebook import check


def past(frame, tracked):
    return {other for other in tracked if 1 <= frame - other <= 6}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda f, p, t: p | past(f, t), "correct"),
        (lambda f, p, t: sorted(p | past(f, t)), "correct"),
        (lambda f, p, t: p | set(sorted(t)[-6:]), "frame 9 with prompted [0] and tracked [1, 2, 3, 5, 8]"),
        (lambda f, p, t: {o for o in p if o < f} | past(f, t), "missing [8], too many []"),
        (lambda f, p, t: p | {o for o in t if abs(o - f) <= 6}, "missing [], too many [6, 7]"),
    ],
)
def test_the_rule_of_memories_is_judged_on_gaps_and_on_both_sides(answer, said, capsys):
    check("04.memories", answer)
    assert said in capsys.readouterr().out


def labels(logits, inside):
    return np.where(inside(logits.max(axis=0)), logits.argmax(axis=0) + 1, 0)


def test_a_logit_of_zero_is_no_object_and_the_message_names_a_pixel(capsys):
    check("04.label_map", lambda logits: labels(logits, lambda best: best > 0))
    assert "correct" in capsys.readouterr().out
    check("04.label_map", lambda logits: labels(logits, lambda best: best >= 0))
    said = capsys.readouterr().out
    assert "logits [0.0, -1.0, -2.0] should be 0, yours is 1; 1 of 42 pixels differ" in said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1, 2, 3, 4], "answer with a dict"),
        ({0: [1, 2, 3, 4]}, "answer with a dict"),
        ({i: {} for i in range(3)}, "prompt one or two frames, not 3"),
        ({25: {}}, "the clip has frames 0 to 19, not 25"),
    ],
)
def test_prompts_of_another_form_are_refused_in_words(answer, said, capsys):
    check("04.prompts", answer, predictor=None, frames=[None] * 20, truth=[], baseline=0.5)
    assert said in capsys.readouterr().out
