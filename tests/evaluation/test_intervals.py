"""Bootstrap intervals of means."""

import numpy as np
import pytest

from sam2nb.evaluation.intervals import gain_interval, mean_interval


def test_an_interval_holds_the_mean_and_narrows_with_more_objects():
    values = np.random.default_rng(0).uniform(size=400)
    few, many = mean_interval(values[:20]), mean_interval(values)
    for found in (few, many):
        assert found.low < found.mean < found.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert few == mean_interval(values[:20]), "the same values give the same interval"


def test_equal_values_leave_no_doubt():
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5, 0.5) and str(mean_interval([0.5])) == "0.50 (0.50 to 0.50)"


def test_a_gain_on_the_same_objects_is_known_better_than_the_means():
    random = np.random.default_rng(0)
    before = random.uniform(0.2, 0.8, size=60)
    gain = gain_interval(before + 0.05 + random.normal(0, 0.01, size=60), before)
    assert gain.low > 0 and gain.high - gain.low < 0.02
    assert mean_interval(before).high - mean_interval(before).low > 0.05


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_values_that_are_no_list_of_numbers_are_refused(values):
    with pytest.raises(ValueError, match="values must be a list of numbers, one for each object"):
        mean_interval(values)


def test_two_lists_of_different_objects_are_refused():
    with pytest.raises(ValueError, match="after has 2 values and before has 1"):
        gain_interval([1, 2], [1])
