"""The progress bar of long loops."""

from __future__ import annotations

from collections.abc import Iterable

from tqdm.auto import tqdm


def with_bar(items: Iterable, title: str, show: bool = True) -> Iterable:
    """Iterate over items with a progress bar that disappears at the end.

    show: False returns the items as they are.
    """
    return tqdm(items, desc=title, leave=False) if show else items
