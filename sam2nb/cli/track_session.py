"""The session of a `track` command on disk: opened again, saved on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sam2nb.predict.video.predictor import SAM2VideoPredictor
    from sam2nb.predict.video.session import FramePrompt, FrameResult, ObjectId, VideoSession

log = logging.getLogger(__name__)

SessionOption = Annotated[
    Path | None, typer.Option("--session", help="File to save the work in, every half minute and at the end.")
]

SAVE_SECONDS = 30.0  # between two saves
SAVE_SHARE = 20  # a save may take one part in so many of the time: large sessions are saved less often


@dataclass(frozen=True)
class SessionFile:
    """The file given by --session, and whether to go on with it.

    Raises ValueError for one that exists but is not to be gone on with, or --resume without a file.
    """

    path: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.path is None:
            raise ValueError("--resume needs the file of the session: --session FILE")
        if self.path is not None and self.path.exists() and not self.resume:
            raise ValueError(f"--session {self.path} exists: add --resume to go on with it, or delete it")

    @property
    def is_begun(self) -> bool:
        """Whether there is a session to go on with."""
        return self.path is not None and self.path.is_file()


def check_prompts(path: Path, session: VideoSession, frame: int, prompts: Mapping[ObjectId, FramePrompt]) -> None:
    """Raise ValueError unless a session has exactly these prompts on a frame."""
    known = {obj_id: track.prompts.get(frame) for obj_id, track in session.objects.items()}
    if known.keys() != prompts.keys() or not all(_equal(known[obj_id], prompts[obj_id]) for obj_id in known):
        raise ValueError(f"{path} was begun with other prompts: leave them out, or give another --session")


def _equal(left: FramePrompt | None, right: FramePrompt) -> bool:
    if left is None:
        return False
    pairs = [(getattr(left, part), getattr(right, part)) for part in ("points", "labels", "mask")]
    return all(a is b or (a is not None and b is not None and a.equal(b)) for a, b in pairs)


class Propagation:
    """Propagate a session, from where it stopped, and save it from time to time; without a path it is not saved."""

    def __init__(self, predictor: SAM2VideoPredictor, session: VideoSession, path: Path | None) -> None:
        self.predictor, self.session, self.path = predictor, session, path
        self._next = time.monotonic() + SAVE_SECONDS

    @property
    def first(self) -> int:
        """The earliest prompted frame."""
        return min(frame for track in self.session.objects.values() for frame in track.prompts)

    def run(self, reverse: bool = False) -> Iterator[FrameResult]:
        """Propagate to the end of the video, or in reverse to its beginning. Leaving early saves, too."""
        start = self.session.reached(reverse)
        try:
            for result in self.predictor.propagate_in_video(self.session, start_frame_idx=start, reverse=reverse):
                if time.monotonic() >= self._next:
                    self._save_or_warn()
                yield result
        finally:
            self.save()

    def results(self, from_start: bool) -> Iterator[FrameResult]:
        """The results in order of time: those that the session remembers, then those of `run`.

        from_start: begin with the first frame of the video instead of the first prompted one.
        """
        reached = self.session.reached()
        for index in range(0 if from_start else self.first, self.first if reached is None else reached):
            yield self.predictor.tracker.result(self.session, index)
        yield from self.run()

    def _save_or_warn(self) -> None:
        try:
            self.save()
        except OSError as error:
            log.warning("tracking goes on, but the session is not saved: %s", error)
            self._next = time.monotonic() + SAVE_SECONDS

    def save(self) -> None:
        """Write the session, and plan the next time."""
        if self.path is None:
            return
        begun = time.monotonic()
        self.predictor.save_session(self.session, self.path)
        ended = time.monotonic()
        self._next = ended + max(SAVE_SECONDS, SAVE_SHARE * (ended - begun))
