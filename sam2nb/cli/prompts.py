"""Prompts of the command line: the meaning of --click, --exclude, --box, --boxes and --names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import supervision as sv


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


def parse_names(text: str | None) -> tuple[str, ...]:
    """Read --names: "cat, dog" -> ("cat", "dog"). Raises ValueError for an empty name."""
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError(f"--names must be names separated by commas, got {text!r}")
    return names


def check_names(names: Sequence[str], count: int) -> None:
    """Raise ValueError unless there are no names or as many as objects."""
    if names and len(names) != count:
        raise ValueError(f"--names must have one name per object, got {len(names)} for {count}")


def own_file(path: Path | None, name: str | None, endings: Sequence[str]) -> Path | None:
    """A file that holds for all videos, or in a folder the one that is named as the video.

    name: of the video, None for a single one. Raises FileNotFoundError if it is not there.
    """
    if path is None or name is None or not path.is_dir():
        return path
    candidates = [path / f"{name}{ending}" for ending in endings]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise FileNotFoundError(f"there is no file {str(candidates[0])!r} for the video {name!r}")
    return file


def read_boxes(path: Path | None, image: Path, prompted: bool, names: Sequence[str] = ()) -> sv.Detections | None:
    """Read the file of --boxes, None without one.

    image: what the boxes are on. prompted: whether there are other prompts; names: of --names.
    Raises ValueError if there are any, and what `load_detections` raises.
    """
    if path is None:
        return None
    from sam2nb.export.boxes import load_detections

    if prompted:
        raise ValueError("--boxes cannot be combined with other prompts")
    if names:
        raise ValueError("--names cannot be combined with --boxes: the file has a column class_name")
    return load_detections(path, image.name)


def _numbers(option: str, text: str, count: int) -> tuple[float, ...]:
    """Parse comma-separated numbers: "10,20" -> (10.0, 20.0)."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count:
        raise ValueError(f"--{option} must be {count} numbers separated by commas, got {text!r}")
    return values
