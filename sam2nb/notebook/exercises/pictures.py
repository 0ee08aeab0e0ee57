"""Pictures of a wrong answer: a learner sees what the checker saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sam2nb.notebook.show import in_notebook
from sam2nb.plotting import alt_text, side_by_side


def show_answer(image: np.ndarray, masks: Mapping[str, np.ndarray], **prompts: Any) -> None:
    """Show masks side by side under their names, in a notebook only; the prompts are drawn on the first.

    prompts: points, labels and boxes, as in show_masks.
    """
    if not in_notebook():
        return
    rest = [None] * (len(masks) - 1)
    given = {name: [value, *rest] for name, value in prompts.items() if value is not None}
    side_by_side(image, list(masks), list(masks.values()), dim=True, **given)
    alt_text("; ".join(f"{name}: {mask.mean():.1%} of the picture" for name, mask in masks.items()))
