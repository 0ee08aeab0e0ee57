"""`segment`: clicks and boxes on one image in, mask and overlay files out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from sam2nb.cli.options import (
    RESULTS,
    CacheOption,
    CloserOption,
    ModelChoice,
    PromptChoice,
    ReportChoice,
    check_given,
)
from sam2nb.cli.prompts import TextPrompts, check_names, parse_names, read_boxes
from sam2nb.cli.targets import check_targets

if TYPE_CHECKING:
    import supervision as sv
    from numpy.typing import NDArray

    from sam2nb.cli.report import Event
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.everything.records import Record
    from sam2nb.predict.image import SAM2ImagePredictor

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")  # of files that are written
MAX_LABELS = 255  # values of an 8-bit label map, zero aside
JPEG_QUALITY = 92


@dataclass(frozen=True)
class SegmentFiles:
    """The files to write: a mask or label map, an image with the masks drawn on it, a COCO json.

    show: whether to show that image, too.
    """

    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Mask to write, .png; several objects as values 1, 2, …")
    ] = None
    overlay: Annotated[
        Path | None, typer.Option("--overlay", help="Image with the masks drawn on it, .jpg or .png.")
    ] = None
    coco: Annotated[Path | None, typer.Option("--coco", help="COCO .json with masks, scores and class names.")] = None
    show: Annotated[
        bool, typer.Option("--show", help="Show the masks: in a window, or in the terminal where there is none.")
    ] = False

    def or_default(self, image: Path, is_reported: bool = False) -> SegmentFiles:
        """The same; a mask and an overlay in the folder of results if nothing is to be written, shown or reported."""
        if self != SegmentFiles() or is_reported:
            return self
        return SegmentFiles(RESULTS / f"{image.stem}_mask.png", RESULTS / f"{image.stem}_overlay.jpg")

    def check(self) -> None:
        """Raise ValueError for a file of the wrong kind."""
        for target in (self.out, self.overlay):
            if target is not None and target.suffix.lower() not in IMAGE_SUFFIXES:
                raise ValueError(f"images are written as .png or .jpg, got {target.name!r}")
        if self.out is not None and self.out.suffix.lower() != ".png":
            raise ValueError(f"--out must end in .png: JPEG would blur the mask; got {self.out.name!r}")
        if self.coco is not None and self.coco.suffix.lower() != ".json":
            raise ValueError(f"--coco must end in .json, got {self.coco.name!r}")


def segment(
    image: Annotated[Path, typer.Argument(help="Image to segment.", callback=check_given)],
    *,
    prompts: PromptChoice,
    files: SegmentFiles,
    all_masks: Annotated[bool, typer.Option("--all", "-a", help="Keep all three masks of a single click.")] = False,
    closer: CloserOption = None,
    cache: CacheOption = None,
    chosen: ModelChoice,
    reporting: ReportChoice,
) -> None:
    """Segment the objects that clicks and boxes point at in one image.

    Without a file to write, the mask and an overlay go to the folder masks:

    python -m sam2nb segment data/photos/cat.jpg --click 220,120

    With --cache, more commands about the same image answer at once:

    python -m sam2nb segment data/photos/cat.jpg --click 220,120 --overlay build/cat.jpg --cache build/cache

    Boxes and classes of a detector become masks:

    python -m sam2nb segment data/photos/coffee.jpg --boxes data/photos/boxes/coffee.csv --coco build/coffee.json
    """
    text, named = TextPrompts.parse(prompts.click, prompts.exclude, prompts.box), parse_names(prompts.names)
    found = read_boxes(prompts.boxes, image, prompted=text != TextPrompts(), names=named)
    request = SegmentRequest(image, text, all_masks, found, named)
    request.check(files := files.or_default(image, is_reported=reporting.json_file is not None))
    sam2 = chosen.load()
    with reporting.open("segment") as report:
        report.tell(segment_image(request, sam2, files, cache, closer))


class Segmented(NamedTuple):
    """The masks (N, H, W) bool of an image, best first or in the order of the boxes, and the record of each."""

    masks: NDArray
    records: list[Record]


@dataclass(frozen=True)
class SegmentRequest:
    """An image and the prompts on it.

    all_masks: keep the three masks of a single click, not only the best. detections: in place of prompts. names: one
    per object.
    """

    image: Path
    prompts: TextPrompts
    all_masks: bool = False
    detections: sv.Detections | None = None
    names: tuple[str, ...] = ()

    @property
    def box_count(self) -> int:
        """The number of boxes of either kind."""
        return len(self.prompts.boxes if self.detections is None else self.detections)

    def check(self, files: SegmentFiles) -> None:
        """Raise ValueError for a request that cannot be carried out, before anything is loaded."""
        files.check()
        check_targets([self.image], [files.out, files.overlay, files.coco])
        if not self.image.is_file():
            raise ValueError(f"{str(self.image)!r} is a folder: segment takes one image, auto and like take folders")
        if self.detections is None and not self.prompts.locate_objects:
            raise ValueError("nothing to segment: give --click x,y or --box x1,y1,x2,y2 or --boxes boxes.csv")
        check_names(self.names, max(len(self.prompts.boxes), 1))
        if self.all_masks and (self.box_count or len(self.prompts.points) > 1):
            raise ValueError("--all is for a single --click: with more prompts there is one mask per object")
        if files.out is not None and self.box_count > MAX_LABELS:
            raise ValueError(f"one label map holds at most {MAX_LABELS} boxes, got {self.box_count}: use --coco")

    def predict(self, predictor: SAM2ImagePredictor) -> Segmented:
        """Predict the masks on the predictor's image."""
        from sam2nb.export.detections import from_detections
        from sam2nb.masks.rle import rle_from_mask
        from sam2nb.predict.everything.records import record_of_mask

        if self.detections is not None:
            found = predictor.predict_detections(self.detections)
            return Segmented(found.mask, from_detections(found))
        masks, scores = self._predict_prompts(predictor)
        names = [{"class_name": name} for name in self.names] or [{}] * len(masks)
        if len(names) == 1:
            names *= len(masks)  # the three masks of a click
        rows = zip(masks, scores, names, strict=True)
        records = [record_of_mask(rle_from_mask(m), predicted_iou=float(s), **name) for m, s, name in rows]
        return Segmented(masks, records)

    def _predict_prompts(self, predictor: SAM2ImagePredictor) -> tuple[NDArray, NDArray]:
        """-> masks (N, H, W) bool, and their scores (N,)"""
        points, boxes = self.prompts.points, self.prompts.boxes
        is_ambiguous = len(points) == 1 and not boxes
        masks, scores, _ = predictor.predict(
            point_coords=points or None,
            point_labels=self.prompts.labels or None,
            box=(boxes if len(boxes) > 1 else boxes[0]) if boxes else None,
            multimask_output=is_ambiguous,
        )
        if len(boxes) > 1:
            return masks[:, 0], scores[:, 0]
        order = (-scores).argsort()[: None if self.all_masks else 1]
        return masks[order], scores[order]


def segment_image(
    request: SegmentRequest,
    model: SAM2,
    files: SegmentFiles,
    cache: Path | None = None,
    closer: bool | None = None,
) -> Iterator[Event]:
    """Predict the masks and write the files; yields what to tell. cache, closer: see SAM2ImagePredictor."""
    from sam2nb.cli.report import Event
    from sam2nb.media.images import to_rgb_uint8
    from sam2nb.predict.image import SAM2ImagePredictor

    rgb = to_rgb_uint8(request.image)
    predictor = SAM2ImagePredictor(model, cache=cache, closer=closer)
    predictor.set_image(rgb)
    masks, records = request.predict(predictor)
    for number, (mask, record) in enumerate(zip(masks, records, strict=True), start=1):
        name = f" ({record['class_name']})" if "class_name" in record else ""
        yield Event(f"mask {number}{name}: score {record['predicted_iou']:.3f}, {mask.mean():.1%} of the image")
    if not records:
        yield Event("no box on the image, no mask")
    yield Event("", {"image": request.image.as_posix(), "size_hw": list(rgb.shape[:2]), "masks": records})
    yield from _write_files(request.image.name, rgb, masks, records, files)


def _write_files(
    name: str, rgb: NDArray, masks: NDArray, records: list[Record], files: SegmentFiles
) -> Iterator[Event]:
    """Write, and show, the masks of the image of this name."""
    from sam2nb.cli.report import wrote
    from sam2nb.export.masks import save_coco

    if files.out is not None:
        yield wrote(_write(label_map(masks), files.out))
    if files.overlay is not None:
        yield wrote(_write(_overlay(rgb, masks, records), files.overlay))
    if files.coco is not None:
        yield wrote(save_coco(records, files.coco, rgb.shape[:2], name))
    if files.show:
        from sam2nb.cli.show import show

        show(_overlay(rgb, masks, records))


def _overlay(rgb: NDArray, masks: NDArray, records: list[Record]) -> NDArray:
    from sam2nb.masks.rle import as_rle
    from sam2nb.plotting import draw_masks, draw_names

    boxes = [as_rle(record["segmentation"]).box for record in records]
    return draw_names(draw_masks(rgb, masks), [record.get("class_name") for record in records], boxes)


def label_map(masks: NDArray) -> NDArray:
    """Masks (N, H, W) bool -> label map (H, W) uint8: 255 inside a single mask; 1, 2, … for several, small on top."""
    import numpy as np

    if len(masks) == 1:
        return masks[0].astype(np.uint8) * 255
    labels = np.zeros(masks.shape[1:], np.uint8)
    for index in np.argsort([-mask.sum() for mask in masks]):
        labels[masks[index]] = index + 1
    return labels


def _write(pixels: NDArray, path: Path) -> Path:
    from sam2nb.media.images import write_image

    return write_image(pixels, path, quality=JPEG_QUALITY)
