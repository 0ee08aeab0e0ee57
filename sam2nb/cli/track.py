"""`track`: prompts on one frame of a video in, masks of all frames out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import (
    ModelChoice,
    PromptChoice,
    ReportChoice,
    ResumeOption,
    TrackingChoice,
    check_given,
)
from sam2nb.cli.outputs import TrackOutputs
from sam2nb.cli.prompts import TextPrompts, check_names, own_file, parse_names, read_boxes
from sam2nb.cli.targets import check_targets
from sam2nb.cli.track_everything import EverythingChoice, EverythingRequest
from sam2nb.cli.track_many import are_several, track_many
from sam2nb.cli.track_session import Propagation, SessionFile, SessionOption, check_prompts

if TYPE_CHECKING:
    import supervision as sv

    from sam2nb.cli.report import Event, Report
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.video.detections import NamedPrompt
    from sam2nb.predict.video.predictor import SAM2VideoPredictor
    from sam2nb.predict.video.session import FramePrompt, ObjectId, VideoSession

VideosArgument = Annotated[
    list[Path],
    typer.Argument(help="Video file or folder of images; several, folders of them, or patterns.", callback=check_given),
]
MaskOption = Annotated[
    Path | None, typer.Option(help="Label map (.png); each value above 0 is an object.", callback=check_given)
]


def track(
    videos: VideosArgument,
    *,
    prompts: PromptChoice,
    mask: MaskOption = None,
    frame: Annotated[int, typer.Option(help="Number of the frame that the prompts are on.")] = 0,
    outputs: TrackOutputs,
    both_ways: Annotated[bool, typer.Option("--both-ways", help="Also track back from the prompted frame.")] = False,
    tracking: TrackingChoice,
    everything: EverythingChoice,
    session: SessionOption = None,
    resume: ResumeOption = False,
    chosen: ModelChoice,
    reporting: ReportChoice,
) -> None:
    """Track objects through a video: prompts on one frame, masks on all; or everything in it, without prompts.

    Work saved by --session goes on with --resume. Small objects: --search region; look-alikes: --memory anchored:

    python -m sam2nb track data/clips/big_buck_bunny.mp4 --click 350,200 --names bunny --masks build/m --session build/a

    python -m sam2nb track data/clips/big_buck_bunny.mp4 --box 108,100,284,284 --search region --memory anchored

    python -m sam2nb track data/clips/big_buck_bunny.mp4 --everything --rle build/tracks.json

    With several videos, --out, --masks, --rle, --yolo and --session are folders, and --mask and --boxes may be, with
    files named as the videos. Videos that cannot be read are listed, --resume goes on, Accelerate shares the work:

    accelerate launch -m sam2nb track "data/sample/clips/*/frames" --everything --rle build/clips --resume
    """
    options = TrackOptions(prompts, mask, frame, both_ways, everything, session, resume, tracking)
    if are_several(videos):
        track_many(videos, options, outputs, chosen, reporting)
        return
    file = SessionFile(session, resume)
    is_written = reporting.json_file is not None or session is not None
    job = options.plan(videos[0], outputs.or_default(videos[0].stem, is_written), file)
    model = chosen.load()
    with reporting.open("track") as report:
        report.tell(job.run(model, report))


@dataclass(frozen=True)
class TrackOptions:
    """The options of `track` that are the same for all videos. See the help of the command."""

    prompts: PromptChoice
    mask: Path | None
    frame: int
    both_ways: bool
    everything: EverythingChoice
    session: Path | None
    resume: bool
    tracking: TrackingChoice

    def plan(self, video: Path, outputs: TrackOutputs, file: SessionFile, name: str | None = None) -> TrackJob:
        """The job for one video, checked. name: of several videos, after which its files of prompts are named.

        Raises ValueError for options that contradict each other, FileNotFoundError for a missing file.
        """
        given, named = self.prompts, parse_names(self.prompts.names)
        text = TextPrompts.parse(given.click, given.exclude, given.box)
        mask, boxes = own_file(self.mask, name, (".png",)), own_file(given.boxes, name, (".csv", ".json"))
        found = read_boxes(boxes, video, prompted=text != TextPrompts() or mask is not None, names=named)
        request = TrackRequest(video, text, mask, self.frame, self.both_ways, found, named)
        all_of_it = self.everything.of(video)
        request.check(outputs, file, all_of_it)
        return TrackJob(request, all_of_it, outputs, file, self.tracking)


@dataclass(frozen=True)
class TrackJob:
    """A video, with everything that is needed to track in it and to write the results."""

    request: TrackRequest
    all_of_it: EverythingRequest
    outputs: TrackOutputs
    file: SessionFile
    tracking: TrackingChoice = TrackingChoice()

    def run(self, model: SAM2, report: Report | None = None) -> Iterator[Event]:
        """Track, and write the files; yields what to tell. report: told of every frame."""
        if self.all_of_it.everything:
            return self.all_of_it.track(self.tracking.predictor(model), self.outputs, report)
        return track_video(self.request, self.tracking.predictor(model), self.outputs, self.file, report)


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
        outputs.check()
        check_targets([self.video, self.mask, file.path], outputs.paths)
        check_targets([self.video, self.mask], [file.path])
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
        if not labels.any():
            raise ValueError(f"nothing to track: --mask {self.mask} has no value above 0")
        return {int(value): read_mask(session, labels == value) for value in np.unique(labels[labels > 0])}


def track_video(
    request: TrackRequest,
    predictor: SAM2VideoPredictor,
    outputs: TrackOutputs,
    file: SessionFile | None = None,
    report: Report | None = None,
) -> Iterator[Event]:
    """Track the objects and write the files; yields what to tell.

    file: where the session is saved, and from where it goes on. report: told of every frame.
    """
    from sam2nb.cli.report import Event, wrote

    file = file or SessionFile()
    session = open_session(request, predictor, file)
    propagation = Propagation(predictor, session, file.path)
    if file.is_begun and session.reached() is not None:
        yield Event(f"goes on at frame {session.reached()} of {len(session.frames)}")
    if request.both_ways and propagation.first > 0:
        for _ in propagation.run(reverse=True):
            pass  # the session remembers the results; they are written below, in order of time
    count = outputs.save(propagation.results(from_start=request.both_ways), session.frames, report)
    number = len(session.objects)
    yield Event(f"{number} object{'s' * (number != 1)} on {count} of {len(session.frames)} frames")
    yield from outputs.events()
    if file.path:
        yield wrote(file.path)


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
