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
from sam2nb.cli.outputs import TrackOutputs
from sam2nb.cli.prompts import TextPrompts
from sam2nb.cli.track_everything import EveryOption, EverythingOption, EverythingRequest, MaxObjectsOption

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.video.predictor import SAM2VideoPredictor
    from sam2nb.predict.video.session import FrameResult, VideoSession


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
    everything: EverythingOption = False,
    every: EveryOption = None,
    max_objects: MaxObjectsOption = None,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Track objects through a video: prompts on one frame, masks on all; or everything in it, without prompts.

    Example: python -m sam2nb track data/clips/big_buck_bunny.mp4 --everything --rle build/tracks.json
    """
    request = TrackRequest(video, TextPrompts.parse(click, exclude, box), mask, frame, both_ways)
    all_of_it = EverythingRequest(video, everything, every, max_objects)
    outputs = TrackOutputs(out, masks, rle, fps)
    all_of_it.check(prompted=request != TrackRequest(video))
    request.check(outputs, needs_prompts=not everything)
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    lines = all_of_it.track(sam2, outputs, memory) if everything else track_video(request, sam2, outputs, memory)
    for line in lines:
        typer.echo(line)


@dataclass(frozen=True)
class TrackRequest:
    """A video and the prompts on one of its frames; `mask` is a label map, in which each value is an object."""

    video: Path
    prompts: TextPrompts = TextPrompts()
    mask: Path | None = None
    frame: int = 0
    both_ways: bool = False

    def check(self, outputs: TrackOutputs, needs_prompts: bool = True) -> None:
        """Raise ValueError for a request that cannot be carried out, before anything is loaded."""
        outputs.check()
        if needs_prompts and not (self.prompts.locate_objects or self.mask):
            raise ValueError(
                "nothing to track: give --click x,y or --box x1,y1,x2,y2 or --mask labels.png, or --everything"
            )
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
    from sam2nb.predict.video.predictor import SAM2VideoPredictor

    predictor = SAM2VideoPredictor(model, memory=memory)
    session = predictor.init_state(request.video)
    request.prompt(predictor, session)
    if request.both_ways and request.frame > 0:
        for _ in predictor.propagate_in_video(session, reverse=True):
            pass  # the session remembers the results; they are written below, in order of time
    count = outputs.save(_results(request, predictor, session), session.frames)
    number = len(session.objects)
    yield f"{number} object{'s' * (number != 1)} on {count} of {len(session.frames)} frames"
    yield from outputs.lines()


def _results(request: TrackRequest, predictor: SAM2VideoPredictor, session: VideoSession) -> Iterator[FrameResult]:
    """The results in order of time; those before the prompted frame are already in the session."""
    if request.both_ways:
        for index in range(request.frame):
            yield predictor.tracker.result(session, index)
    yield from predictor.propagate_in_video(session)
