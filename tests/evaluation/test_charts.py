"""The numbers behind the comparison charts."""

import matplotlib.pyplot as plt
import pytest

from sam2nb.evaluation.charts import cost_gain_chart, pareto_front, per_object_chart


@pytest.mark.parametrize(
    ("cost", "gain", "front"),
    [
        ([1, 2, 3], [10, 20, 30], [0, 1, 2]),
        ([1, 2, 3], [30, 20, 10], [0]),
        ([3, 1, 2, 4], [5, 4, 6, 6], [1, 2]),
        ([1, 1], [5, 6], [1]),
    ],
)
def test_the_front_holds_the_choices_that_no_other_beats_in_both(cost, gain, front):
    assert pareto_front(cost, gain) == front


def test_charts_plot_every_choice():
    ax = cost_gain_chart(["a", "b"], [1, 2], [3, 2], "seconds", "IoU")
    assert {text.get_text() for text in ax.texts} == {"a", "b"}
    spans = cost_gain_chart(["a", "b"], [1, 2], [3, 2], "seconds", "IoU", [(2.5, 3.5), (1, 3)]).collections
    assert [piece[1, 1] for span in spans if hasattr(span, "get_segments") for piece in span.get_segments()] == [3.5, 3]
    shared, alone = per_object_chart({"shared": (1.0, 0.25), "alone": (0.0, 1.25)}, most=4).lines
    assert shared.get_ydata().tolist() == [1.25, 1.5, 1.75, 2.0] and alone.get_ydata()[-1] == 5.0
    plt.close("all")
