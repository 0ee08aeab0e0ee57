"""Files that `track` writes: a video, palette images, COCO run lengths, YOLO data, import files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import RESULTS, ToleranceOption

if TYPE_CHECKING:
    from sam2nb.cli.report import Event, Report
    from sam2nb.media.folder import Found
    from sam2nb.media.video import FrameSource
    from sam2nb.predict.video.session import FrameResult

DEFAULT_FPS = 25.0  # of a video made from a folder of images
VIDEO_END, RLE_END = "_tracked.mp4", "_tracks.json"  # of the names of files


@dataclass(frozen=True)
class TrackOutputs:
    """The files to write: an overlay video, a folder of palette images, COCO run lengths, a YOLO data set.

    fps: of the video. formats: names of files made from the run lengths, separated by commas. tolerance: of outlines,
    in pixels.
    """

    video: Annotated[Path | None, typer.Option("--out", "-o", help="Video to write, .mp4 or .webm.")] = None
    masks: Annotated[Path | None, typer.Option("--masks", help="Folder for one palette PNG per frame.")] = None
    rle: Annotated[Path | None, typer.Option("--rle", help="COCO .json with run lengths.")] = None
    fps: Annotated[
        float | None, typer.Option("--fps", help="Frames per second to write; default: as read, else 25.")
    ] = None
    yolo: Annotated[Path | None, typer.Option("--yolo", help="Folder for a YOLO data set of the frames.")] = None
    formats: Annotated[
        str, typer.Option("--format", "-f", help="More files, beside that of --rle: polygons,cvat,labelstudio.")
    ] = ""
    tolerance: ToleranceOption = 0.0

    @property
    def kinds(self) -> list[str]:
        """The formats by name."""
        return [name.strip() for name in self.formats.split(",") if name.strip()]

    @property
    def paths(self) -> list[Path]:
        """The files and folders to write, without those made from the run lengths."""
        return [path for path in (self.video, self.masks, self.rle, self.yolo) if path is not None]

    def or_default(self, name: str, is_reported: bool = False) -> TrackOutputs:
        """The same; a video and run lengths in the folder of results if nothing is to be written or reported.

        name: of the video. Formats bring their run lengths.
        """
        rle = RESULTS / f"{name}{RLE_END}"
        if self.paths or is_reported:
            return replace(self, rle=rle) if self.formats and self.rle is None else self
        return replace(self, video=RESULTS / f"{name}{VIDEO_END}", rle=rle)

    def of(self, source: Found) -> TrackOutputs:
        """Of several videos, whose outputs are folders, the files of one."""
        ends = {"video": VIDEO_END, "masks": "", "rle": RLE_END, "yolo": ""}
        folders = {name: getattr(self, name) for name in ends}
        files = {name: folder / f"{source.name}{ends[name]}" for name, folder in folders.items() if folder is not None}
        return replace(self, **files)

    def check(self) -> None:
        """Raise ValueError for a format that is not known, or a rate that is no positive number."""
        from sam2nb.export.masks import check_formats
        from sam2nb.export.sets import SET_FORMATS

        if self.kinds:
            check_formats(self.kinds, SET_FORMATS)
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"--fps must be a positive number, got {self.fps}")

    def events(self) -> Iterator[Event]:
        """Write the files made from the run lengths; tell of all files."""
        from sam2nb.cli.report import wrote

        yield from map(wrote, self.paths)
        if self.formats:
            from sam2nb.export.sets import save_sets

            prefix = f"{self.rle.stem}_"
            files = save_sets([self.rle], self.rle.parent, self.kinds, prefix=prefix, tolerance=self.tolerance)
            yield from map(wrote, files)

    def save(self, results: Iterable[FrameResult], frames: FrameSource, report: Report | None = None) -> int:
        """Write results as they come. frames: those of the video. report: told of each. -> the number of results"""
        from sam2nb.export.tracks import save_tracks

        fps = self.fps or getattr(frames, "fps", DEFAULT_FPS)
        targets = {"video": self.video, "masks": self.masks, "rle": self.rle, "yolo": self.yolo}
        told = results if report is None or report.document is None else _telling(results, report)
        return save_tracks(told, frames, **targets, fps=fps, tolerance=self.tolerance)


def _telling(results: Iterable[FrameResult], report: Report) -> Iterator[FrameResult]:
    """The same results; each is written into the document of --json."""
    from sam2nb.cli.report import Event, objects_of

    for result in results:
        report.tell([Event("", {"frame": int(result.frame_idx), "objects": objects_of(result)})])
        yield result
