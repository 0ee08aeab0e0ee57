"""The progress bar of loops that may take long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tqdm.auto import tqdm


def with_bar(items: Iterable | Sequence, title: str, show: bool = True) -> Iterable:
    """Iterate over items with a progress bar that disappears at the end.

    show: False returns the items as they are.
    """
    return tqdm(items, desc=title, leave=False) if show else items
