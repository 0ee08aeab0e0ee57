"""`track`: prompts on one frame of a video in, masks of all frames out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import (
    BoxesOption,
    BoxOption,
    ClickOption,
    CloserOption,
    DeviceOption,
    DtypeOption,
    ExcludeOption,
    ImageSizeOption,
    MemoryOption,
    ModelOption,
    NamesOption,
    WeightsOption,
    load_chosen_model,
)
from sam2nb.cli.outputs import TrackOutputs
from sam2nb.cli.prompts import TextPrompts, check_names, parse_names, read_boxes
from sam2nb.cli.track_everything import EveryOption, EverythingOption, EverythingRequest, MaxObjectsOption
from sam2nb.cli.track_session import Propagation, ResumeOption, SessionFile, SessionOption, check_prompts

if TYPE_CHECKING:
    import supervision as sv

    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.video.detections import NamedPrompt
    from sam2nb.predict.video.predictor import SAM2VideoPredictor
    from sam2nb.predict.video.session import FramePrompt, ObjectId, VideoSession


def track(
    video: Annotated[Path, typer.Argument(help="Video file, or folder of images.")],
    click: ClickOption = None,
    exclude: ExcludeOption = None,
    box: BoxOption = None,
    mask: Annotated[Path | None, typer.Option(help="Label map (.png); each value above 0 is an object.")] = None,
    boxes: BoxesOption = None,
    names: NamesOption = None,
    frame: Annotated[int, typer.Option(help="Number of the frame that the prompts are on.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Video to write, .mp4 or .webm.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder for one palette PNG per frame.")] = None,
    rle: Annotated[Path | None, typer.Option("--rle", help="COCO .json with run lengths.")] = None,
    both_ways: Annotated[bool, typer.Option("--both-ways", help="Also track back from the prompted frame.")] = False,
    fps: Annotated[float | None, typer.Option(help="Frames per second to write; default: as read, else 25.")] = None,
    memory: MemoryOption = None,
    closer: CloserOption = None,
    everything: EverythingOption = False,
    every: EveryOption = None,
    max_objects: MaxObjectsOption = None,
    session: SessionOption = None,
    resume: ResumeOption = False,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Track objects through a video: prompts on one frame, masks on all; or everything in it, without prompts.

    With --session the work is saved on the way, to go on with --resume. Names go into every file:

    python -m sam2nb track data/clips/big_buck_bunny.mp4 --click 350,200 --names bunny --masks build/m --session build/a

    python -m sam2nb track data/clips/big_buck_bunny.mp4 --everything --rle build/tracks.json
    """
    file, all_of_it = SessionFile(session, resume), EverythingRequest(video, everything, every, max_objects)
    request = _request(video, TextPrompts.parse(click, exclude, box), mask, frame, both_ways, boxes, names)
    request.check(outputs := TrackOutputs(out, masks, rle, fps), file, all_of_it)
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    _run(request, all_of_it, sam2, outputs, memory, file, closer)


@dataclass(frozen=True)
class TrackRequest:
    """A video and the prompts on one of its frames.

    mask: a label map, in which each value is an object. detections: in place of prompts. names: one per object.
    """

    video: Path
    prompts: TextPrompts = TextPrompts()
    mask: Path | None = None
    frame: int = 0
    both_ways: bool = False
    detections: sv.Detections | None = field(default=None, compare=False)
    names: tuple[str, ...] = ()

    @property
    def has_prompts(self) -> bool:
        """Whether they show where an object is."""
        return self.prompts.locate_objects or self.mask is not None or self.detections is not None

    def check(self, outputs: TrackOutputs, file: SessionFile, all_of_it: EverythingRequest) -> None:
        """Raise ValueError for a request that cannot be carried out, before anything is loaded."""
        prompted = self.has_prompts or self != TrackRequest(self.video)
        all_of_it.check(prompted=prompted, saved=file.path is not None)
        if file.path is None:
            outputs.check()
        if not all_of_it.everything and not self.has_prompts and not file.is_begun:
            raise ValueError(
                "nothing to track: give --click x,y or --box x1,y1,x2,y2 or --mask labels.png or --boxes boxes.csv, "
                "or --everything"
            )
        if self.names and not self.has_prompts:
            raise ValueError("--names is for the objects of --click, --box or --mask: give them, too")
        if self.mask and self.prompts != TextPrompts():
            raise ValueError("--mask cannot be combined with --click, --exclude or --box")

    def read(self, session: VideoSession) -> dict[ObjectId, NamedPrompt]:
        """The prompt and the name of each object; they are numbered from 1, those of a label map keep their values.

        Raises ValueError for another number of names, or a file of boxes without any on the frame.
        """
        from sam2nb.predict.video.detections import NamedPrompt, read_detections
        from sam2nb.predict.video.prompts import read_points

        if self.detections is not None:
            found = read_detections(session, self.detections)
            if not found:
                raise ValueError("nothing to track: --boxes has no box on the frame")
            return found
        if self.mask:
            prompts = self._read_labels(session)
        else:
            points, labels = self.prompts.points or None, self.prompts.labels or None
            boxes = self.prompts.boxes or (None,)
            prompts = {
                obj_id: read_points(session, points, labels, box, normalize_coords=True)
                for obj_id, box in enumerate(boxes, start=1)
            }
        check_names(self.names, len(prompts))
        names = self.names or (None,) * len(prompts)
        return dict(zip(prompts, map(NamedPrompt, prompts.values(), names), strict=True))

    def _read_labels(self, session: VideoSession) -> dict[ObjectId, FramePrompt]:
        import numpy as np

        from sam2nb.media.images import read_label_map
        from sam2nb.predict.video.prompts import read_mask

        labels = read_label_map(self.mask)
        return {int(value): read_mask(session, labels == value) for value in np.unique(labels[labels > 0])}


def _request(video, prompts, mask, frame, both_ways, boxes, names) -> TrackRequest:
    named = parse_names(names)
    found = read_boxes(boxes, video, prompted=prompts != TextPrompts() or mask is not None, names=named)
    return TrackRequest(video, prompts, mask, frame, both_ways, found, named)


def _run(request, all_of_it, model, outputs, memory, file, closer) -> None:
    if all_of_it.everything:
        lines = all_of_it.track(model, outputs, memory)
    else:
        lines = track_video(request, model, outputs, memory, file, closer)
    for line in lines:
        typer.echo(line)


def track_video(
    request: TrackRequest,
    model: SAM2,
    outputs: TrackOutputs,
    memory: str | None = None,
    file: SessionFile | None = None,
    closer: bool | None = None,
) -> Iterator[str]:
    """Track the objects and write the files; yields the lines to print.

    memory, closer: see SAM2VideoPredictor. file: where the session is saved, and from where it goes on.
    """
    from sam2nb.predict.video.predictor import SAM2VideoPredictor

    file = file or SessionFile()
    predictor = SAM2VideoPredictor(model, memory=memory, closer=bool(closer))
    session = open_session(request, predictor, file)
    propagation = Propagation(predictor, session, file.path)
    if file.is_begun and session.reached() is not None:
        yield f"goes on at frame {session.reached()} of {len(session.frames)}"
    if request.both_ways and propagation.first > 0:
        for _ in propagation.run(reverse=True):
            pass  # the session remembers the results; they are written below, in order of time
    count = outputs.save(propagation.results(from_start=request.both_ways), session.frames)
    number = len(session.objects)
    yield f"{number} object{'s' * (number != 1)} on {count} of {len(session.frames)} frames"
    yield from outputs.lines()
    if file.path:
        yield f"wrote {file.path}"


def open_session(request: TrackRequest, predictor: SAM2VideoPredictor, file: SessionFile) -> VideoSession:
    """The saved session, if there is one; else a new one with the prompts of the request."""
    if file.is_begun:
        session = predictor.load_session(file.path, request.video)
        named = request.read(session) if request.has_prompts else {}
        if named:
            prompts = {obj_id: prompt for obj_id, (prompt, _) in named.items()}
            check_prompts(file.path, session, request.frame, prompts)
    else:
        session = predictor.init_state(request.video)
        named = request.read(session)
        for obj_id, (prompt, _) in named.items():
            predictor.tracker.prompt(session, request.frame, obj_id, prompt)
    for obj_id, (_, name) in named.items():
        session.objects[obj_id].name = name or session.objects[obj_id].name
    return session
