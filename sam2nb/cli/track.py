"""`track`: prompts on one frame of a video in, masks of all frames out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import (
    BoxOption,
    ClickOption,
    DeviceOption,
    DtypeOption,
    ExcludeOption,
    ImageSizeOption,
    ModelOption,
    WeightsOption,
    load_chosen_model,
)
from sam2nb.cli.prompts import TextPrompts

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.video.predictor import SAM2VideoPredictor
    from sam2nb.predict.video.session import FrameResult, VideoSession

DEFAULT_FPS = 25.0  # of a video made from a folder of images


def track(
    video: Annotated[Path, typer.Argument(help="Video file, or folder of images.")],
    click: ClickOption = None,
    exclude: ExcludeOption = None,
    box: BoxOption = None,
    mask: Annotated[Path | None, typer.Option(help="Label map (.png); each value above 0 is an object.")] = None,
    frame: Annotated[int, typer.Option(help="Number of the frame that the prompts are on.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Video to write, .mp4 or .webm.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder for one palette PNG per frame.")] = None,
    rle: Annotated[Path | None, typer.Option("--rle", help="COCO .json with run lengths.")] = None,
    both_ways: Annotated[bool, typer.Option("--both-ways", help="Also track back from the prompted frame.")] = False,
    fps: Annotated[float | None, typer.Option(help="Frames per second to write; default: as read, else 25.")] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", help="official (learned) or match (compare features); default: by the weights."),
    ] = None,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Track objects through a video: prompts on one frame, masks on all."""
    request = TrackRequest(video, TextPrompts.parse(click, exclude, box), mask, frame, both_ways)
    outputs = TrackOutputs(out, masks, rle, fps)
    request.check(outputs)
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    for line in track_video(request, sam2, outputs, memory):
        typer.echo(line)


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


@dataclass(frozen=True)
class TrackRequest:
    """A video and the prompts on one of its frames; `mask` is a label map, in which each value is an object."""

    video: Path
    prompts: TextPrompts = TextPrompts()
    mask: Path | None = None
    frame: int = 0
    both_ways: bool = False

    def check(self, outputs: TrackOutputs) -> None:
        """Raise ValueError for a request that cannot be carried out, before anything is loaded."""
        if not outputs.paths:
            raise ValueError("nothing to write: give --out (a video), --masks (a folder) or --rle (a .json)")
        if not (self.prompts.locate_objects or self.mask):
            raise ValueError("nothing to track: give --click x,y or --box x1,y1,x2,y2 or --mask labels.png")
        if self.mask and self.prompts != TextPrompts():
            raise ValueError("--mask cannot be combined with --click, --exclude or --box")

    def prompt(self, predictor: SAM2VideoPredictor, session: VideoSession) -> None:
        """Add the prompts to a session; objects are numbered from 1, those of a label map keep their values."""
        if self.mask:
            self._prompt_with_labels(predictor, session)
            return
        points, labels = self.prompts.points or None, self.prompts.labels or None
        for obj_id, box in enumerate(self.prompts.boxes or (None,), start=1):
            predictor.add_new_points_or_box(session, self.frame, obj_id, points=points, labels=labels, box=box)

    def _prompt_with_labels(self, predictor: SAM2VideoPredictor, session: VideoSession) -> None:
        import numpy as np
        from PIL import Image

        labels = np.asarray(Image.open(self.mask))
        if labels.ndim != 2:
            raise ValueError(f"--mask must be a label map (grey or palette), {self.mask.name} is in colour")
        for value in np.unique(labels[labels > 0]):
            predictor.add_new_mask(session, self.frame, int(value), labels == value)


def track_video(request: TrackRequest, model: SAM2, outputs: TrackOutputs, memory: str | None = None) -> Iterator[str]:
    """Track the objects and write the files; yields the lines to print. memory: see SAM2VideoPredictor."""
    from sam2nb.export.tracks import save_tracks
    from sam2nb.predict.video.predictor import SAM2VideoPredictor

    predictor = SAM2VideoPredictor(model, memory=memory)
    session = predictor.init_state(request.video)
    request.prompt(predictor, session)
    if request.both_ways and request.frame > 0:
        for _ in predictor.propagate_in_video(session, reverse=True):
            pass  # the session remembers the results; they are written below, in order of time
    count = save_tracks(
        _results(request, predictor, session),
        session.frames,
        video=outputs.video,
        masks=outputs.masks,
        rle=outputs.rle,
        fps=outputs.fps or getattr(session.frames, "fps", DEFAULT_FPS),
    )
    number = len(session.objects)
    yield f"{number} object{'s' * (number != 1)} on {count} of {len(session.frames)} frames"
    for path in outputs.paths:
        yield f"wrote {path}"


def _results(request: TrackRequest, predictor: SAM2VideoPredictor, session: VideoSession) -> Iterator[FrameResult]:
    """The results in order of time; those before the prompted frame are already in the session."""
    if request.both_ways:
        for index in range(request.frame):
            yield predictor.tracker.result(session, index)
    yield from predictor.propagate_in_video(session)
