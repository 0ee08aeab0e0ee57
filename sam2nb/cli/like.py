"""`like`: a reference with its mask and other images in, the masks of the same objects in those out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import (
    RESULTS,
    FolderOption,
    MemoryOption,
    ModelChoice,
    NamesOption,
    ReportChoice,
    check_given,
)
from sam2nb.cli.prompts import check_names, parse_names
from sam2nb.media.folder import Found, check_exists, find_images

if TYPE_CHECKING:
    from sam2nb.cli.report import Event
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.video.session import FrameResult

COCO_FILE = "coco.json"
MASK_END, OVERLAY_END = "_mask", "_overlay.jpg"  # of the names of files, which .png follows for masks


def like(
    reference: Annotated[Path, typer.Argument(help="Image that shows the objects.", callback=check_given)],
    mask: Annotated[
        Path,
        typer.Argument(help="Its mask or label map (.png); each value above 0 is an object.", callback=check_given),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(help="Images of any size, folders with their folders, or patterns.", callback=check_given),
    ],
    *,
    out: FolderOption = RESULTS,
    names: NamesOption = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write images with the masks drawn on them.")] = False,
    memory: MemoryOption = None,
    chosen: ModelChoice,
    reporting: ReportChoice,
) -> None:
    """Find the objects of a reference image in other images: NAME_mask.png for each, and coco.json for all.

    python -m sam2nb like data/sample/clips/fluent_00/frames/00000.jpg data/sample/clips/fluent_00/masks/00000.png
    data/sample/clips/fluent_00/frames/00012.jpg --overlay --out build/like
    """
    request = LikeRequest(reference, mask, tuple(find_images(images, leave_out=out)), parse_names(names))
    request.check(out)
    sam2 = chosen.load()
    with reporting.open("like") as report:
        report.tell(request.run(sam2, out, overlay, memory))


@dataclass(frozen=True)
class LikeRequest:
    """A reference, its mask, and the images in which its objects are to be found. names: one per object."""

    reference: Path
    mask: Path
    images: tuple[Found, ...]
    names: tuple[str, ...] = ()

    def check(self, folder: Path) -> None:
        """Raise FileNotFoundError or ValueError for a request that cannot be carried out, before anything is loaded."""
        given = (self.reference, self.mask, *(image.path for image in self.images))
        for path in given:
            check_exists(path)
        ends = (f"{MASK_END}.png", OVERLAY_END)
        written = {(folder / f"{name}{end}").resolve() for _, name in self.images for end in ends}
        lost = [file for file in given if file.resolve() in written]
        if lost:
            raise ValueError(f"{str(lost[0])!r} would be overwritten: give another --out")

    def run(self, model: SAM2, folder: Path, overlay: bool = False, memory: str | None = None) -> Iterator[Event]:
        """Find the objects and write the files; yields what to tell. memory: see SAM2VideoPredictor."""
        import numpy as np

        from sam2nb.cli.report import wrote
        from sam2nb.export.tracks import PaletteWriter, RleWriter
        from sam2nb.media.images import read_label_map
        from sam2nb.predict.video.like import read_objects, segment_like
        from sam2nb.predict.video.predictor import SAM2VideoPredictor

        labels = read_label_map(self.mask)
        objects = read_objects(labels, labels.shape)
        check_names(self.names, len(objects))
        names = dict(zip(objects, self.names, strict=False))
        predictor = SAM2VideoPredictor(model, memory=memory)
        others = [image.path for image in self.images]
        results = segment_like(self.reference, np.asarray(labels), others, predictor, names=names)
        masks = PaletteWriter(folder)
        with closing(RleWriter(folder / COCO_FILE)) as runs:
            for image, result in zip(self.images, results, strict=True):
                yield from _found(image.path, result)
                runs.add(result, f"{image.name}{image.path.suffix}")
                yield wrote(masks.add(result, f"{image.name}{MASK_END}"))
                if overlay:
                    yield wrote(_write_overlay(image.path, result, folder / f"{image.name}{OVERLAY_END}"))
        yield wrote(runs.path)


def _found(image: Path, result: FrameResult) -> Iterator[Event]:
    """A line for each object, and for --json all of them."""
    from sam2nb.cli.report import Event, objects_of

    inside = (result.masks[:, 0] > 0).flatten(1).float().mean(dim=1).tolist()
    for row, obj_id in enumerate(result.obj_ids):
        name = f" ({result.names[row]})" if result.names[row] else ""
        place = f"{inside[row]:.1%} of the image" if inside[row] else "absent"
        scores = f"score {result.quality[row]:.3f}, presence {result.presence[row]:.1f}"
        yield Event(f"{image}: object {obj_id}{name}: {scores}, {place}")
    yield Event("", {"image": image.as_posix(), "objects": objects_of(result)})


def _write_overlay(image: Path, result: FrameResult, path: Path) -> Path:
    from sam2nb.export.tracks import draw_result
    from sam2nb.media.images import to_rgb_uint8, write_image

    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(draw_result(to_rgb_uint8(image), result), path)
    return path
