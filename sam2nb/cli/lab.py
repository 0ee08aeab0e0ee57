"""`lab`: prepare what is missing and open the notebooks in JupyterLab, without make."""

from __future__ import annotations

from typing import Annotated

import typer


def lab(
    *,
    browser: Annotated[bool, typer.Option(help="Open a browser, or print the address only.")] = True,
    cpu: Annotated[bool, typer.Option(help="Install PyTorch without GPU support, a tenth of the size.")] = False,
) -> None:
    """Open the notebooks in JupyterLab, as `make lab` does; what is missing is installed into .venv first.

    python -m sam2nb lab --no-browser
    """
    from sam2nb.start import open_notebooks

    raise typer.Exit(open_notebooks(browser, cpu))
