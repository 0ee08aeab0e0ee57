"""`track` over many videos: each has files of its own, those that are done are skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sam2nb.cli.options import RESULTS, ModelChoice, ReportChoice
from sam2nb.cli.outputs import TrackOutputs
from sam2nb.cli.track_session import SessionFile
from sam2nb.media.folder import Found, find_videos, is_several

if TYPE_CHECKING:
    from sam2nb.cli.many import Outcome
    from sam2nb.cli.report import Event
    from sam2nb.cli.run_record import RunRecord
    from sam2nb.model.sam2 import SAM2

SESSION_END = ".session"
COCO_FILE = "coco.json"  # of all videos
FILE_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".json")  # of outputs for a single video
KEPT = ("score", "presence", "area", "segmentation")  # of an annotation, for --json


def are_several(videos: Sequence[Path]) -> bool:
    """Whether paths stand for several videos, whose results go to folders."""
    return len(videos) > 1 or is_several(videos[0])


class Job(Protocol):
    """A video with everything that is needed to track in it."""

    def run(self, model: SAM2) -> Iterator[Event]:
        """Track, and write the files; yields what to tell."""


class Options(Protocol):
    """The options of `track` that are the same for all videos, a dataclass."""

    session: Path | None
    resume: bool

    def plan(self, video: Path, outputs: TrackOutputs, file: SessionFile, name: str) -> Job:
        """The job for one video, checked."""


def track_many(
    videos: Sequence[Path],
    options: Options,
    outputs: TrackOutputs,
    chosen: ModelChoice,
    reporting: ReportChoice,
) -> None:
    """Track in each video by the same options; write the files of each, and one COCO json of all.

    outputs: folders. Raises LeftOut at the end if videos could not be read.
    """
    from sam2nb.cli.many import check_all_read, work_through
    from sam2nb.cli.processes import Processes

    folders = _folders(outputs, is_reported=reporting.json_file is not None)
    found = find_videos(videos, leave_out=folders.paths[0])
    for source in found:
        with suppress(FileNotFoundError):  # of prompts for this video, which is left out
            _plan(source, options, folders)
    processes = Processes.join(chosen.device)
    model = chosen.load(processes.device(chosen.device))
    record = processes.agree(lambda: _begin_run(options, folders, model))
    with reporting.open("track", processes) as report:
        report.tell(work_through(found, record, processes, lambda source: _track(source, options, folders, model)))
        if processes.is_main:
            report.tell(_join(found, record, folders))
            report.tell(_results(found, record, folders) if report.document else ())
    check_all_read(record, len(found), processes)


def _folders(outputs: TrackOutputs, is_reported: bool) -> TrackOutputs:
    """The folders to write to: by default that of results. Raises ValueError for a file in place of a folder."""
    is_default = not outputs.paths
    if is_default:
        outputs = replace(outputs, video=RESULTS)
    if outputs.rle is None and (is_default or is_reported or outputs.kinds):
        outputs = replace(outputs, rle=outputs.paths[0])
    for path in outputs.paths:
        if path.suffix.lower() in FILE_SUFFIXES or path.is_file():
            raise ValueError(f"with several videos, --out, --masks, --rle and --yolo are folders, got {str(path)!r}")
    return outputs


def _plan(source: Found, options: Options, folders: TrackOutputs) -> Job:
    file = SessionFile()
    if options.session is not None:
        if options.session.is_file():
            raise ValueError(f"with several videos, --session is a folder, got the file {str(options.session)!r}")
        file = SessionFile(options.session / f"{source.name}{SESSION_END}", options.resume)
    return options.plan(source.path, folders.of(source), file, source.name)


def _begin_run(options: Options, folders: TrackOutputs, model: SAM2) -> RunRecord:
    from sam2nb.cli.run_record import RunRecord
    from sam2nb.predict.saving import note_model

    settings = {name: value for name, value in asdict(options).items() if name not in ("session", "resume")}
    settings = {**settings, **asdict(folders), **note_model(model)._asdict()}
    plain = json.loads(json.dumps(settings, default=lambda path: path.as_posix()))
    return RunRecord.begin(folders.paths[0], "track", plain, options.resume)


def _track(source: Found, options: Options, folders: TrackOutputs, model: SAM2) -> Outcome:
    """Track in one video and write its files. Raises ValueError or FileNotFoundError if something cannot be read."""
    from sam2nb.cli.many import Outcome

    events = list(_plan(source, options, folders).run(model))
    files = [event.file for event in events if event.file is not None and event.file.suffix != SESSION_END]
    return Outcome([f"{source.path}: {events[0].text}", *(f"  {event.text}" for event in events[1:])], files, {})


def _join(found: Sequence[Found], record: RunRecord, folders: TrackOutputs) -> Iterator[Event]:
    """Write one COCO file of all videos."""
    from sam2nb.cli.many import done
    from sam2nb.cli.report import wrote
    from sam2nb.export.coco_merge import merge_coco

    if folders.rle is not None:
        ready = done(found, record)
        files, names = [folders.of(source).rle for source in ready], [source.name for source in ready]
        yield wrote(merge_coco(files, folders.rle / COCO_FILE, names))


def _results(found: Sequence[Found], record: RunRecord, folders: TrackOutputs) -> Iterator[Event]:
    """For --json: the frames of each video with the objects on them, or why it was left out."""
    from sam2nb.cli.report import Event

    for source in found:
        path = source.path.as_posix()
        if path in record.left_out:
            yield Event("", {"video": path, "left_out": record.left_out[path]})
            continue
        content = json.loads(folders.of(source).rle.read_text(encoding="utf-8"))
        names = {category["id"]: category["name"] for category in content["categories"]}
        objects: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            known = {key: annotation[key] for key in KEPT if key in annotation}
            name = names[annotation["category_id"]]
            objects[annotation["image_id"]].append({"id": annotation["track_id"], "name": name, **known})
        frames = [{"frame": frame, "objects": on_frame} for frame, on_frame in objects.items()]
        files = [file.as_posix() for file in record.results_of(source.path)]
        yield Event("", {"video": path, "frames": frames, "files": files})
