"""Faults on purpose: an error in the middle of a computation, a disk that is full."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode


class Fault(TorchFunctionMode):
    """An error in the call of torch with this number, counted from 0; never in those that switch modes back."""

    def __init__(self, position: int, error: type[BaseException]) -> None:
        super().__init__()
        self.left, self.error = position, error

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if "set_" in getattr(function, "__name__", ""):  # the end of no_grad or autocast
            return function(*args, **(kwargs or {}))
        if self.left == 0:
            raise self.error("on purpose")
        self.left -= 1
        return function(*args, **(kwargs or {}))


@contextmanager
def interrupted(position: int, error: type[BaseException] = KeyboardInterrupt) -> Iterator[None]:
    """Raise an error in the call of torch with this number, counted from 0. No hook, so that the fast paths run."""
    with torch.set_grad_enabled(torch.is_grad_enabled()), Fault(position, error):
        yield


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file can grow beyond this many bytes; writing more is an OSError, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
