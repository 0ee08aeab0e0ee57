"""`auto`: images and folders in, masks of everything in them out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam2nb.cli.options import (
    RESULTS,
    CacheOption,
    FolderOption,
    ModelChoice,
    ReportChoice,
    ResumeOption,
    ToleranceOption,
    check_given,
)
from sam2nb.cli.targets import check_new

if TYPE_CHECKING:
    from sam2nb.cli.many import Outcome
    from sam2nb.cli.report import Event
    from sam2nb.cli.run_record import RunRecord
    from sam2nb.media.folder import Found
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

BYTES_PER_MEGABYTE = 10**6


@dataclass(frozen=True)
class GeneratorChoice:
    """The options of everything mode, by the names of the generator's arguments."""

    points_per_side: Annotated[
        int, typer.Option("--points-per-side", "-p", help="Points along each side of the grid of prompts.")
    ] = 32
    pred_iou_thresh: Annotated[
        float, typer.Option("--pred-iou", help="Drop masks with a predicted IoU of this or less.")
    ] = 0.8
    stability_score_thresh: Annotated[
        float, typer.Option("--stability", help="Drop masks with a stability score below this.")
    ] = 0.95
    box_nms_thresh: Annotated[
        float, typer.Option("--box-nms", help="Of masks whose boxes overlap more than this, keep the better.")
    ] = 0.7
    min_mask_region_area: Annotated[
        int, typer.Option("--min-area", help="Fill holes and drop islands of fewer pixels.")
    ] = 0
    crop_n_layers: Annotated[
        int, typer.Option("--crops", help="Layers of crops to segment again, for small objects.")
    ] = 0
    tiles: Annotated[int | None, typer.Option("--tiles", help="Side of overlapping tiles, for very large images.")] = (
        None
    )
    use_m2m: Annotated[bool, typer.Option("--refine", help="Predict again from the first masks (m2m).")] = False


def auto(
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, folders with their folders, or patterns in quotes.", callback=check_given),
    ],
    *,
    out: FolderOption = RESULTS,
    formats: Annotated[
        str,
        typer.Option("--format", "-f", help="Any of coco,polygons,yolo,labels,overlay,cvat,labelstudio,geojson."),
    ] = "coco,overlay",
    tolerance: ToleranceOption = 0.0,
    generating: GeneratorChoice,
    memory: Annotated[int | None, typer.Option(help="Megabytes that one batch may take.")] = None,
    resume: ResumeOption = False,
    cache: CacheOption = None,
    chosen: ModelChoice,
    reporting: ReportChoice,
) -> None:
    """Segment everything in images: one file per image and format, and one COCO json of all.

    Images that cannot be read are skipped and listed. With --resume a run that was stopped goes on:

    python -m sam2nb auto data/photos/coins.jpg data/photos/cat.jpg --out build/masks --points-per-side 8 --resume

    Folders and patterns work, too, and several processes, GPUs or machines share the work through Accelerate:

    accelerate launch -m sam2nb auto data/sample/stills/images "data/photos/c*.jpg" --out build/all --resume
    """
    from sam2nb.media.folder import find_images

    wanted = _read_formats(formats, is_reported=reporting.json_file is not None)
    found = find_images(images, leave_out=out)
    if not resume:
        check_new(_of_the_user(found, out, wanted))
    settings = {**asdict(generating), "formats": wanted, "tolerance": tolerance}
    is_one = len(images) == 1 and images[0].is_file()
    job = AutoJob(found, out, settings, resume, is_one)
    job.run(chosen, reporting, lambda model: _make_generator(model, asdict(generating), memory, cache))


@dataclass(frozen=True)
class AutoJob:
    """Images, the folder to write to, and the settings on which the results depend.

    resume: go on with the run that was begun in the folder. is_one: the image was given alone, not in a folder.
    """

    found: list[Found]
    folder: Path
    settings: dict[str, Any]
    resume: bool
    is_one: bool

    def run(
        self, chosen: ModelChoice, reporting: ReportChoice, make: Callable[[SAM2], SAM2AutomaticMaskGenerator]
    ) -> None:
        """Segment the images, as one of the processes if there are several. make: the generator of a model.

        Raises LeftOut at the end if images could not be read.
        """
        from sam2nb.cli.many import check_all_read, work_through
        from sam2nb.cli.processes import Processes

        processes = Processes.join(chosen.device)
        model = chosen.load(processes.device(chosen.device))
        generator = make(model)
        record = processes.agree(lambda: _begin_run(self.folder, self.settings, model, self.resume))
        with reporting.open("auto", processes) as report:
            report.tell(work_through(self.found, record, processes, lambda source: _segment(generator, source, record)))
            if processes.is_main:
                report.tell(_join(self.found, record, self.is_one))
                report.tell(_results(self.found, record) if report.document else ())
        check_all_read(record, len(self.found), processes)


def _read_formats(text: str, is_reported: bool) -> list[str]:
    """The formats by name, and COCO json where something else is made from it."""
    from sam2nb.export.masks import FORMATS, check_formats
    from sam2nb.export.sets import SET_FORMATS

    wanted = [name.strip() for name in text.split(",") if name.strip()]
    check_formats(wanted, (*FORMATS, *SET_FORMATS))
    is_needed = is_reported or not set(SET_FORMATS).isdisjoint(wanted)
    return ["coco", *wanted] if is_needed and "coco" not in wanted else wanted


def _of_the_user(found: Sequence[Found], folder: Path, formats: Sequence[str]) -> Iterator[Path]:
    """Files beside an image whose names are those of YOLO labels; all other results have names of their own."""
    for source in found:
        if "yolo" in formats and source.path.parent.resolve() == (folder / source.name).parent.resolve():
            yield folder / f"{source.name}.txt"


def _make_generator(
    sam2: SAM2, settings: dict[str, Any], megabytes: int | None, cache: Path | None
) -> SAM2AutomaticMaskGenerator:
    from sam2nb.predict.cache import EmbeddingCache
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

    budget = None if megabytes is None else megabytes * BYTES_PER_MEGABYTE
    generator = SAM2AutomaticMaskGenerator(sam2, output_mode="coco_rle", memory_budget=budget, **settings)
    if cache is not None:
        generator.predictor.cache = EmbeddingCache(cache)
    return generator


def _begin_run(folder: Path, settings: dict[str, Any], sam2: SAM2, resume: bool) -> RunRecord:
    from sam2nb.cli.run_record import RunRecord
    from sam2nb.predict.saving import note_model

    return RunRecord.begin(folder, "auto", {**settings, **note_model(sam2)._asdict()}, resume)


def _segment(generator: SAM2AutomaticMaskGenerator, source: Found, record: RunRecord) -> Outcome:
    """Segment one image and write its files. Raises ValueError if it cannot be read."""
    from sam2nb.cli.many import Outcome
    from sam2nb.export.masks import FORMATS, save_formats

    records = generator.generate(source.path, progress=sys.stderr.isatty())
    line = f"{source.path}: {len(records)} masks ({generator.survivors})"
    formats = [name for name in record.settings["formats"] if name in FORMATS]
    tolerance = record.settings["tolerance"]
    files = save_formats(records, source.path, record.folder, formats, name=source.name, tolerance=tolerance)
    return Outcome([line, *(f"  {path}" for path in files)], files, {"masks": len(records)})


def _join(found: Sequence[Found], record: RunRecord, is_one: bool) -> Iterator[Event]:
    """Write the files of all images together. is_one: of a single image its own COCO file is all."""
    from sam2nb.cli.many import done
    from sam2nb.cli.report import wrote
    from sam2nb.export.sets import SET_FORMATS, save_sets

    formats = [name for name in record.settings["formats"] if name in SET_FORMATS or (name == "coco" and not is_one)]
    files = [coco for source in done(found, record) for coco in _coco_of(source, record)]
    yield from map(wrote, save_sets(files, record.folder, formats, tolerance=record.settings["tolerance"]))


def _results(found: Sequence[Found], record: RunRecord) -> Iterator[Event]:
    """For --json: each image with its masks, or why it was left out."""
    from sam2nb.cli.report import Event

    for source in found:
        path = source.path.as_posix()
        if path in record.left_out:
            yield Event("", {"image": path, "left_out": record.left_out[path]})
            continue
        masks = [mask for coco in _coco_of(source, record) for mask in json.loads(coco.read_text())["annotations"]]
        files = [file.as_posix() for file in record.results_of(source.path)]
        yield Event("", {"image": path, "masks": masks, "files": files})


def _coco_of(source: Found, record: RunRecord) -> list[Path]:
    from sam2nb.export.masks import COCO_END

    return [file for file in record.results_of(source.path) if file.name.endswith(COCO_END)]
