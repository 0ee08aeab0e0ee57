"""Faults on purpose: an error in the middle of the model, a disk that is full."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def interrupted(model: nn.Module, position: int, error: type[BaseException] = KeyboardInterrupt) -> Iterator[None]:
    """Raise an error when one of the model's layers is called for the time `position`, counted from 0."""
    calls = 0

    def count(module: nn.Module, given: object) -> None:
        nonlocal calls
        calls += 1
        if calls > position:
            raise error("on purpose")

    hooks = [module.register_forward_pre_hook(count) for module in model.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
