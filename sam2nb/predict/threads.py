"""Threads of PyTorch on a busy machine: no more than there are free cores, for the length of a call.

The threads of one operation wait for each other, and keep their cores busy while they wait. Where another program takes
the core of one of them, all others wait for it, at every operation: on two cores with one busy neighbour, everything
mode took three times as long with two threads as with one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import psutil
import torch

SPAN = 0.3  # seconds over which the use of the cores is measured, at least
BUSY = 0.4  # of a core in use by others, from which on it does not count as free

_one_at_a_time = Lock()


class Usage(NamedTuple):
    """Seconds of use of the cores: by all programs, and by this process."""

    at: float
    all: float
    own: float


class Neighbours:
    """The cores that other programs use, measured between the calls."""

    def __init__(self) -> None:
        self.cores = own_cores()
        self.last = self._usage()
        self.busy = 0.0

    def busy_cores(self) -> float:
        """How many cores other programs use: on average since the last measurement, but no more than right now.

        The average alone would count what has ended meanwhile.
        """
        return min(self._used_since(), waiting_programs())

    def _used_since(self) -> float:
        """How many cores other programs used, on average, between the last two measurements."""
        now = self._usage()
        span = now.at - self.last.at
        if span >= SPAN:
            self.busy = max(0.0, (now.all - self.last.all - (now.own - self.last.own)) / span)
            self.last = now
        return self.busy

    def _usage(self) -> Usage:
        times = psutil.cpu_times(percpu=True)
        used = (sum(times[core]) - _idle(times[core]) for core in self.cores if core < len(times))
        return Usage(time.monotonic(), sum(used), time.process_time())


def own_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def waiting_programs() -> float:
    """How many threads of other programs compute, or wait for a core, at this moment; infinite where nobody knows."""
    try:
        running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        own = [task.read_text().rpartition(")")[2].split()[0] for task in Path("/proc/self/task").glob("*/stat")]
    except (OSError, IndexError):
        return float("inf")
    return max(0, int(running) - own.count("R"))


def _idle(times: NamedTuple) -> float:
    """Seconds in which a core had nothing to do; Linux counts those of guests twice, which are part of the user's."""
    return sum(getattr(times, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))


_neighbours = Neighbours()


def free_threads(most: int) -> int:
    """The number of threads, at least 1 and at most `most`, that find a core of their own now."""
    busy = int(_neighbours.busy_cores() + 1 - BUSY)
    return max(1, min(most, len(_neighbours.cores) - busy))


@contextmanager
def on_free_cores() -> Iterator[None]:
    """Let PyTorch use no more threads than there are free cores, and as many as before afterwards.

    Where the environment variable OMP_NUM_THREADS says how many, or another call has chosen already, nothing changes.
    """
    if "OMP_NUM_THREADS" in os.environ or not _one_at_a_time.acquire(blocking=False):
        yield
        return
    before = torch.get_num_threads()
    try:
        threads = free_threads(before)
        if threads != before:
            torch.set_num_threads(threads)
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
        _one_at_a_time.release()
