"""The masks of a widget's objects, predicted when they are needed and kept while their prompts stay."""

from __future__ import annotations

import numpy as np

from sam2nb.widgets.answers import Answers, Candidates
from sam2nb.widgets.layers import LONGEST_PREVIEW, shown_size
from sam2nb.widgets.objects import ObjectPrompts, paint

Size = tuple[int, int]  # height and width


class AnsweredObjects:
    """Masks in two sizes: as shown, for the browser, and that of the image, for whoever asks.

    answers: whoever answers prompts. size_hw: of the image.
    """

    def __init__(self, answers: Answers, size_hw: Size) -> None:
        self.answers = answers
        self.size_hw = size_hw
        self.shown_hw = shown_size(size_hw)
        self._found: dict[tuple[int, Size], tuple[str, Candidates]] = {}  # by id and size, with the key of the prompts
        self._previewed: tuple[str, Size, Candidates] | None = None  # the newest: a click there is answered already

    def preview(self, prompts: ObjectPrompts) -> Candidates:
        """The masks for prompts that nobody gave yet, small where the image is large."""
        size_hw = shown_size(self.size_hw, LONGEST_PREVIEW)
        self._previewed = prompts.key, size_hw, self.answers.candidates(prompts, size_hw)
        return self._previewed[2]

    def shown(self, prompts: ObjectPrompts) -> Candidates:
        """The masks for one object, in the size that the browser gets."""
        return self._candidates(prompts, self.shown_hw)

    def exact(self, prompts: ObjectPrompts) -> Candidates:
        """The masks for one object in the size of the image: those that the model's predictor returns."""
        return self._candidates(prompts, self.size_hw)

    def _candidates(self, prompts: ObjectPrompts, size_hw: Size) -> Candidates:
        place = prompts.number, size_hw
        if place not in self._found or self._found[place][0] != prompts.key:
            self._found.pop(place, None)
            is_previewed = self._previewed is not None and self._previewed[:2] == (prompts.key, size_hw)
            found = self._previewed[2] if is_previewed else self.answers.candidates(prompts, size_hw)
            self._found[place] = (prompts.key, found)
        return self._found[place][1]

    def is_answered(self, prompts: ObjectPrompts) -> bool:
        """Whether the model has answered, or need not."""
        return not prompts.asks or (prompts.number, self.shown_hw) in self._found

    def keep_only(self, numbers: set[int]) -> None:
        """Forget the masks of all other objects."""
        self._found = {place: found for place, found in self._found.items() if place[0] in numbers}

    def choice(self, prompts: ObjectPrompts) -> int:
        """Which of its masks an object means."""
        return self.shown(prompts).chosen(prompts.choice) if prompts.asks else 0

    def mask(self, prompts: ObjectPrompts) -> np.ndarray:
        """The mask of one object with its strokes: (H, W) bool"""
        mask = self.exact(prompts).masks[self.choice(prompts)] if prompts.asks else np.zeros(self.size_hw, bool)
        return paint(mask, prompts.strokes) if prompts.strokes else mask

    def score(self, prompts: ObjectPrompts) -> float | None:
        """The model's own estimate of the IoU of an object's mask, None without one."""
        has_score = prompts.asks and self.is_answered(prompts)
        return self.shown(prompts).scores[self.choice(prompts)] if has_score else None

    def share(self, prompts: ObjectPrompts) -> float:
        """The part of the image that the mask of an object covers, as shown."""
        if prompts.strokes or not prompts.asks:
            return float(self.mask(prompts).mean())
        return float(self.shown(prompts).masks[self.choice(prompts)].mean())
