"""Threads on free cores: fewer while others are busy, as many as before afterwards."""

from collections import namedtuple

import pytest
import torch

from sam2nb.predict import threads
from sam2nb.predict.threads import Neighbours, free_threads, on_free_cores

Times = namedtuple("Times", "user idle iowait guest")


@pytest.fixture
def four_threads(monkeypatch):
    """Four cores of a process that may use all of them, without the variable that tests set."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    monkeypatch.setattr(threads._neighbours, "cores", [0, 1, 2, 3])
    yield
    torch.set_num_threads(before)


def busy(monkeypatch, cores):
    monkeypatch.setattr(threads._neighbours, "busy_cores", lambda: cores)


@pytest.mark.parametrize(
    ("others", "expected"), [(0.0, 4), (0.39, 4), (0.41, 3), (1.0, 3), (1.5, 2), (3.0, 1), (9.0, 1)]
)
def test_a_busy_core_is_left_to_its_program(monkeypatch, four_threads, others, expected):
    busy(monkeypatch, others)
    assert free_threads(4) == expected
    with on_free_cores():
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 4


def test_a_smaller_number_of_threads_is_kept(monkeypatch, four_threads):
    busy(monkeypatch, 1.0)
    torch.set_num_threads(2)
    with on_free_cores():
        assert torch.get_num_threads() == 2


def test_an_error_gives_the_threads_back(monkeypatch, four_threads):
    busy(monkeypatch, 2.0)
    with pytest.raises(KeyError), on_free_cores():
        raise KeyError
    assert torch.get_num_threads() == 4
    with on_free_cores():
        assert torch.get_num_threads() == 2  # the lock was given back, too


def test_an_inner_call_changes_nothing(monkeypatch, four_threads):
    busy(monkeypatch, 1.0)
    with on_free_cores():
        busy(monkeypatch, 2.0)
        with on_free_cores():
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 3


def test_a_number_in_the_environment_decides(monkeypatch, four_threads):
    busy(monkeypatch, 2.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with on_free_cores():
        assert torch.get_num_threads() == 4


def test_the_own_work_is_not_a_neighbours(monkeypatch):
    now = {"clock": 100.0, "own": 5.0, "used": [10.0, 10.0], "waiting": 9}
    monkeypatch.setattr(threads, "own_cores", lambda: [0, 1])
    monkeypatch.setattr(threads, "waiting_programs", lambda: now["waiting"])
    monkeypatch.setattr(threads.time, "monotonic", lambda: now["clock"])
    monkeypatch.setattr(threads.time, "process_time", lambda: now["own"])
    monkeypatch.setattr(threads.psutil, "cpu_times", lambda percpu: [Times(u, 50.0, 1.0, 0.0) for u in now["used"]])
    neighbours = Neighbours()
    now.update(clock=102.0, own=7.0, used=[12.0, 11.5])  # 3.5 core seconds, 2 of them our own
    assert neighbours.busy_cores() == pytest.approx(0.75)
    now.update(clock=102.1, own=7.1, used=[12.1, 11.6])  # too soon to measure again
    assert neighbours.busy_cores() == pytest.approx(0.75)
    now.update(waiting=0)  # what used the cores has ended
    assert neighbours.busy_cores() == 0
    now.update(waiting=float("inf"))  # no system to ask
    now.update(clock=104.0, own=11.0, used=[13.9, 13.0])  # nothing but our own work
    assert neighbours.busy_cores() == pytest.approx(0.0)


def test_whoever_waits_for_a_core_is_counted():
    assert threads.waiting_programs() >= 0
