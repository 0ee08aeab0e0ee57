"""The memory meter."""

import numpy as np

from sam2nb.evaluation.memory import PeakMemory


def test_peak_memory_includes_what_was_allocated_and_freed_in_between():
    with PeakMemory() as peak:
        np.ones(20_000_000)  # 160 MB, freed at once
    assert 120e6 < peak.bytes < 400e6
    with PeakMemory() as peak:
        pass
    assert peak.bytes < 20e6
