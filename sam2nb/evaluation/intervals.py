"""Confidence intervals of means by the bootstrap: how far a sample of other objects would move them.

The objects are drawn anew with replacement, some thousand times; the interval holds the middle 95 % of the means
(Efron, 1979). It tells the luck of the draw, not whether the sample resembles your images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

LEVEL = 0.95
ROUNDS = 2000
SEED = 0


class Interval(NamedTuple):
    """A mean, and the interval around it."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The mean of values, one for each object, with its interval; the same values give the same interval.

    Raises ValueError for no values.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values must be a list of numbers, one for each object, got shape {array.shape}")
    mean = float(array.mean())
    if np.ptp(array) == 0:
        return Interval(mean, mean, mean)
    random = np.random.default_rng(SEED)
    found = bootstrap(
        (array,), np.mean, confidence_level=level, n_resamples=ROUNDS, method="percentile", random_state=random
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


def gain_interval(after: Sequence[float], before: Sequence[float], level: float = LEVEL) -> Interval:
    """The mean gain from `before` to `after` on the same objects, in the same order, with its interval.

    Differences of pairs vary less than their two means do, since some objects are hard for everyone.

    Raises ValueError for lists of different lengths, or empty ones.
    """
    if len(after) != len(before):
        raise ValueError(f"after has {len(after)} values and before has {len(before)}; they must be the same objects")
    return mean_interval(np.subtract(after, before), level)
