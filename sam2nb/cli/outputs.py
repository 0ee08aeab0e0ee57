"""Files that `track` writes: an overlay video, a folder of palette images, COCO run lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam2nb.media.video import FrameSource
    from sam2nb.predict.video.session import FrameResult

DEFAULT_FPS = 25.0  # of a video made from a folder of images


@dataclass(frozen=True)
class TrackOutputs:
    """The files to write: an overlay video, a folder of palette images, COCO run lengths. fps: of the video."""

    video: Path | None = None
    masks: Path | None = None
    rle: Path | None = None
    fps: float | None = None

    @property
    def paths(self) -> list[Path]:
        """The files and folders to write."""
        return [path for path in (self.video, self.masks, self.rle) if path is not None]

    def check(self) -> None:
        """Raise ValueError if there is nothing to write."""
        if not self.paths:
            raise ValueError("nothing to write: give --out (a video), --masks (a folder) or --rle (a .json)")

    def lines(self) -> Iterator[str]:
        """Say what was written."""
        for path in self.paths:
            yield f"wrote {path}"

    def save(self, results: Iterable[FrameResult], frames: FrameSource) -> int:
        """Write results as they come. frames: those of the video. -> the number of results"""
        from sam2nb.export.tracks import save_tracks

        fps = self.fps or getattr(frames, "fps", DEFAULT_FPS)
        return save_tracks(results, frames, video=self.video, masks=self.masks, rle=self.rle, fps=fps)
