"""Every test starts without figures and without a caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import matplotlib
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sam2nb import plotting


@pytest.fixture(autouse=True)
def no_figures_and_no_caption() -> Iterator[None]:
    yield
    plt.close("all")
    plotting.set_caption(None)


@pytest.fixture(autouse=True)
def records_of_its_own(tmp_path_factory, monkeypatch) -> None:
    """A test counts exercises in a file of its own, and not as unattended, even if pytest runs from a notebook."""
    monkeypatch.setenv("SAM2NB_PROGRESS", str(tmp_path_factory.mktemp("progress") / "progress.json"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


@pytest.fixture
def printed(capsys) -> Callable[[], str]:
    """The text printed since the last call."""
    return lambda: capsys.readouterr().out.strip()
