"""The test server, and quick limits for transfers."""

import pytest

from sam2nb.weights import transfer
from tests.weights.server import running_server


@pytest.fixture
def server():
    """A file server on this machine."""
    with running_server() as server:
        yield server


@pytest.fixture
def quick_transfers(monkeypatch):
    """No pause between attempts, small chunks, no proxy, and no memory of unreachable hosts."""
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(transfer, "CHUNK", 4096)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    transfer.forget_unreachable()
    yield
    transfer.forget_unreachable()
