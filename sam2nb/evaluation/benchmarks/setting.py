"""The conditions of a benchmark: everything that is the same for all contestants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Workload:
    """The images, clips and grids that a run computes on.

    photo_hw, clip_hw: height and width of the photograph and of a video frame. image: a file to resize to `photo_hw`
    instead of the synthetic photograph; with trained weights its content decides how many masks there are.
    points_per_side, points_per_batch: of everything mode. frames: of the clip in the part `folder`.
    """

    photo_hw: tuple[int, int] = (600, 800)
    clip_hw: tuple[int, int] = (480, 854)
    image: str | None = None
    points_per_side: int = 16
    points_per_batch: int = 64
    frames: int = 300

    @classmethod
    def parse(cls, assignments: Sequence[str]) -> Workload:
        """The default workload with changes such as "photo_hw=1500x2250" or "frames=100".

        Raises ValueError for an unknown name or a value of another kind.
        """
        workload = cls()
        for text in assignments:
            name, _, value = text.partition("=")
            if name not in cls.__dataclass_fields__:
                raise ValueError(f"workload has {name!r}; known are {', '.join(cls.__dataclass_fields__)}")
            workload = replace(workload, **{name: _parse(name, value, getattr(workload, name))})
        return workload


@dataclass(frozen=True)
class Setting:
    """The model of a run, its precision and its workload.

    weights: "own" for the checkpoint's own, None for random ones made from `seed`, or a file.
    device: "cpu", "cuda", …. dtype: "float32", "bfloat16" or "float16". threads: on the CPU, None for torch's default.
    engine, precision: as for `load_model`. busy: other processes that kept a core busy meanwhile.
    """

    model: str
    weights: str | None
    device: str
    dtype: str
    image_size: int
    compile: bool
    threads: int | None
    seed: int = 0
    workload: Workload = field(default_factory=Workload)
    engine: str | None = None
    precision: str | None = None
    busy: int = 0

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Setting:
        """The setting that `dataclasses.asdict` turned into JSON; old records have no workload and get the default."""
        workload = dict(record.get("workload", {}))
        workload |= {name: tuple(workload[name]) for name in ("photo_hw", "clip_hw") if name in workload}
        return cls(**{**record, "workload": Workload(**workload)})


def _parse(name: str, value: str, like: Any) -> Any:
    """A value of the kind of the default: a number, height x width, or text."""
    try:
        if isinstance(like, tuple):
            height, width = (int(side) for side in value.split("x"))
            return height, width
        return int(value) if isinstance(like, int) else value
    except ValueError as error:
        example = "1500x2250" if isinstance(like, tuple) else "300"
        raise ValueError(f"workload: {name} must look like {example}, got {value!r}") from error
