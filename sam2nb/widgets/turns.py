"""Turns at a model: of two threads that want it, the one that has waited goes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

_turns: WeakKeyDictionary[nn.Module, Turns] = WeakKeyDictionary()
_one_at_a_time = threading.Lock()


class Turns:
    """A lock that a loop cannot keep for itself: who releases it and wants it again waits behind the others."""

    def __init__(self) -> None:
        self._queue, self._lock = threading.Lock(), threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and hold it for the length of the block; a thread must not ask again while it has one."""
        with self._queue:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


def turns_of(model: nn.Module) -> Turns:
    """The turns at a model, the same for all who use it."""
    with _one_at_a_time:
        if model not in _turns:
            _turns[model] = Turns()
        return _turns[model]
