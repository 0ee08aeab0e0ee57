"""The memory meter, on allocations of known size, which come from the system and not from what the process holds."""

import mmap

import numpy as np
import pytest

from sam2nb.evaluation import memory
from sam2nb.evaluation.memory import PeakMemory, memory_in_use

SIZE = 160_000_000  # bytes


def hold() -> mmap.mmap:
    """Pages of the system, each touched once; `close` gives them back."""
    pages = mmap.mmap(-1, SIZE)
    np.frombuffer(pages, np.uint8)[:: mmap.PAGESIZE] = 1
    return pages


@pytest.fixture(params=["high-water mark", "thread"])
def meter(request, monkeypatch):
    """Both ways of measuring main memory; only Linux has the first."""
    if request.param == "thread":
        monkeypatch.setattr(memory, "_reset_high_water_mark", lambda: False)
    elif not memory._reset_high_water_mark():
        pytest.skip("this system has no high-water mark that can be reset")


def test_the_peak_includes_what_was_freed_at_once(meter):
    with PeakMemory() as peak:
        hold().close()
    assert 120e6 < peak.bytes < 400e6


def test_a_peak_before_the_block_does_not_count(meter):
    hold().close()
    with PeakMemory() as peak:
        pass
    assert 0 <= peak.bytes < 20e6
    assert peak.highest >= peak.before > 0


def test_memory_in_use_counts_what_is_still_held():
    before = memory_in_use()
    held = hold()
    assert memory_in_use() - before > 120e6
    held.close()
    assert memory_in_use() - before < 40e6


def test_without_a_file_to_reset_the_mark_a_thread_measures(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "RESET_FILE", tmp_path / "absent" / "clear_refs")
    with PeakMemory() as peak:
        hold().close()
    assert peak.bytes > 120e6


def test_on_a_gpu_torch_counts(monkeypatch):
    in_use = {"now": 100, "peak": 100}
    monkeypatch.setattr(memory.torch.cuda, "reset_peak_memory_stats", lambda device: in_use.update(peak=in_use["now"]))
    monkeypatch.setattr(memory.torch.cuda, "memory_allocated", lambda device: in_use["now"])
    monkeypatch.setattr(memory.torch.cuda, "max_memory_allocated", lambda device: in_use["peak"])
    with PeakMemory("cuda:1") as peak:
        in_use["peak"] = 350
    assert (peak.before, peak.highest, peak.bytes) == (100, 350, 250)
