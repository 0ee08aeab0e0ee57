"""Clicks and boxes as text: the meaning of --click, --exclude and --box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextPrompts:
    """Clicks and boxes on one image, in its pixels.

    clicks and excluded: (x, y) inside and outside the object. boxes: (x1, y1, x2, y2).
    Several boxes are several objects; clicks refine the only box, or make up one object themselves.
    """

    clicks: tuple[tuple[float, ...], ...] = ()
    excluded: tuple[tuple[float, ...], ...] = ()
    boxes: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def parse(
        cls, click: Sequence[str] | None = None, exclude: Sequence[str] | None = None, box: Sequence[str] | None = None
    ) -> TextPrompts:
        """Read the options as given; ValueError names the option that is wrong, or two that contradict each other."""
        prompts = cls(
            tuple(_numbers("click", text, 2) for text in click or ()),
            tuple(_numbers("exclude", text, 2) for text in exclude or ()),
            tuple(_numbers("box", text, 4) for text in box or ()),
        )
        if len(prompts.boxes) > 1 and prompts.points:
            raise ValueError("clicks are ambiguous with several --box: give one box, or no clicks")
        return prompts

    @property
    def points(self) -> list[tuple[float, ...]]:
        """All clicks, those inside the object first."""
        return [*self.clicks, *self.excluded]

    @property
    def labels(self) -> list[int]:
        """The labels of `points`."""
        from sam2nb.structures import EXCLUDE_LABEL, INCLUDE_LABEL

        return [INCLUDE_LABEL] * len(self.clicks) + [EXCLUDE_LABEL] * len(self.excluded)

    @property
    def locate_objects(self) -> bool:
        """Whether they show where an object is; --exclude alone does not."""
        return bool(self.clicks or self.boxes)


def _numbers(option: str, text: str, count: int) -> tuple[float, ...]:
    """Parse comma-separated numbers: "10,20" -> (10.0, 20.0)."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise ValueError(f"--{option} must be {count} numbers separated by commas, got {text!r}")
    return values
