"""`track --everything`: a video in, masks of everything in it out, without prompts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.outputs import TrackOutputs

if TYPE_CHECKING:
    from sam2nb.cli.report import Event, Report
    from sam2nb.predict.video.predictor import SAM2VideoPredictor
    from sam2nb.predict.video.session import FrameResult

EVERY, MAX_OBJECTS = 10, 32  # unless the options say otherwise


@dataclass(frozen=True)
class EverythingChoice:
    """The options of tracking everything. every, max_objects: see `track_everything`, None for default."""

    everything: Annotated[bool, typer.Option("--everything", "-e", help="Track everything, without prompts.")] = False
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, help=f"With --everything: look for new objects on every N-th frame; default: {EVERY}."
        ),
    ] = None
    max_objects: Annotated[
        int | None,
        typer.Option(
            "--max-objects", min=1, help=f"With --everything: the most objects at a time; default: {MAX_OBJECTS}."
        ),
    ] = None

    def of(self, video: Path) -> EverythingRequest:
        """The request for a video."""
        return EverythingRequest(video, self.everything, self.every, self.max_objects)


@dataclass(frozen=True)
class EverythingRequest:
    """A video, and whether to track everything in it. every, max_objects: see `track_everything`, None for default."""

    video: Path
    everything: bool = True
    every: int | None = None
    max_objects: int | None = None

    def check(self, prompted: bool, saved: bool) -> None:
        """Raise ValueError for options that contradict each other.

        prompted: whether others say what to track. saved: whether a session is to be saved.
        """
        if self.everything and saved:
            raise ValueError("--everything cannot be saved and resumed: leave out --session")
        if self.everything and prompted:
            raise ValueError(
                "--everything takes no prompts: leave out --click, --exclude, --box, --boxes, --mask, --names, --frame "
                "and --both-ways"
            )
        if not self.everything and (self.every or self.max_objects):
            raise ValueError("--every and --max-objects are for --everything: add it, or leave them out")

    def track(
        self, predictor: SAM2VideoPredictor, outputs: TrackOutputs, report: Report | None = None
    ) -> Iterator[Event]:
        """Track everything and write the files; yields what to tell. report: told of every frame."""
        from sam2nb.cli.report import Event
        from sam2nb.media.video import open_frames
        from sam2nb.predict.video.everything import track_everything

        frames = open_frames(self.video)
        every, max_objects = self.every or EVERY, self.max_objects or MAX_OBJECTS
        results = track_everything(predictor, frames, every=every, max_objects=max_objects)
        seen: set[int] = set()
        count = outputs.save(_noting(results, seen), frames, report)
        yield Event(f"{len(seen)} object{'s' * (len(seen) != 1)} on {count} of {len(frames)} frames")
        yield from outputs.events()


def _noting(results: Iterator[FrameResult], seen: set[int]) -> Iterator[FrameResult]:
    """The same results, with their objects added to a set."""
    for result in results:
        seen.update(result.obj_ids)
        yield result
