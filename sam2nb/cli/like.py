"""`like`: a reference with its mask and other images in, the masks of the same objects in those out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import (
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    MemoryOption,
    ModelOption,
    NamesOption,
    WeightsOption,
    load_chosen_model,
)
from sam2nb.cli.prompts import check_names, parse_names

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.video.session import FrameResult

COCO_FILE = "coco.json"


def like(
    reference: Annotated[Path, typer.Argument(help="Image that shows the objects.")],
    mask: Annotated[Path, typer.Argument(help="Its mask or label map (.png); each value above 0 is an object.")],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images, of any size.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = ...,
    names: NamesOption = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write images with the masks drawn on them.")] = False,
    memory: MemoryOption = None,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Find the objects of a reference image in other images: NAME_mask.png for each, and coco.json for all.

    python -m sam2nb like data/sample/clips/fluent_00/frames/00000.jpg data/sample/clips/fluent_00/masks/00000.png
    data/sample/clips/fluent_00/frames/00012.jpg --overlay --out build/like
    """
    request = LikeRequest(reference, mask, tuple(_expand(images)), parse_names(names))
    request.check(out)
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    for line in request.run(sam2, out, overlay, memory):
        typer.echo(line)


@dataclass(frozen=True)
class LikeRequest:
    """A reference, its mask, and the images in which its objects are to be found. names: one per object."""

    reference: Path
    mask: Path
    images: tuple[Path, ...]
    names: tuple[str, ...] = ()

    def check(self, folder: Path) -> None:
        """Raise FileNotFoundError or ValueError for a request that cannot be carried out, before anything is loaded."""
        given = (self.reference, self.mask, *self.images)
        missing = [file for file in given if not file.is_file()]
        if missing:
            raise FileNotFoundError(f"there is no file {str(missing[0])!r}")
        stems = [image.stem for image in self.images]
        twice = [stem for stem in stems if stems.count(stem) > 1]
        if twice:
            raise ValueError(f"images must have different names, got {twice[0]!r} twice: its mask would be overwritten")
        written = {(folder / f"{stem}{end}").resolve() for stem in stems for end in ("_mask.png", "_overlay.jpg")}
        lost = [file for file in given if file.resolve() in written]
        if lost:
            raise ValueError(f"{str(lost[0])!r} would be overwritten: give another --out")

    def run(self, model: SAM2, folder: Path, overlay: bool = False, memory: str | None = None) -> Iterator[str]:
        """Find the objects and write the files; yields the lines to print. memory: see SAM2VideoPredictor."""
        import numpy as np

        from sam2nb.export.tracks import PaletteWriter, RleWriter
        from sam2nb.media.images import read_label_map
        from sam2nb.predict.video.like import read_objects, segment_like
        from sam2nb.predict.video.predictor import SAM2VideoPredictor

        labels = read_label_map(self.mask)
        objects = read_objects(labels, labels.shape)
        check_names(self.names, len(objects))
        names = dict(zip(objects, self.names, strict=False))
        predictor = SAM2VideoPredictor(model, memory=memory)
        results = segment_like(self.reference, np.asarray(labels), self.images, predictor, names=names)
        masks = PaletteWriter(folder)
        with closing(RleWriter(folder / COCO_FILE)) as runs:
            for image, result in zip(self.images, results, strict=True):
                yield from _lines(image, result)
                runs.add(result, image.name)
                yield f"  {masks.add(result, f'{image.stem}_mask')}"
                if overlay:
                    yield f"  {_write_overlay(image, result, folder)}"
        yield f"wrote {runs.path}"


def _expand(paths: Sequence[Path]) -> Iterator[Path]:
    """Files as they are, folders as their images."""
    from sam2nb.media.folder import list_images

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = list_images(path)
        if not found:
            raise ValueError(f"the folder {str(path)!r} has no images")
        yield from found


def _lines(image: Path, result: FrameResult) -> Iterator[str]:
    inside = (result.masks[:, 0] > 0).flatten(1).float().mean(dim=1).tolist()
    for row, obj_id in enumerate(result.obj_ids):
        name = f" ({result.names[row]})" if result.names[row] else ""
        place = f"{inside[row]:.1%} of the image" if inside[row] else "absent"
        scores = f"score {result.quality[row]:.3f}, presence {result.presence[row]:.1f}"
        yield f"{image}: object {obj_id}{name}: {scores}, {place}"


def _write_overlay(image: Path, result: FrameResult, folder: Path) -> Path:
    from PIL import Image

    from sam2nb.export.tracks import draw_result
    from sam2nb.media.images import to_rgb_uint8

    path = folder / f"{image.stem}_overlay.jpg"
    Image.fromarray(draw_result(to_rgb_uint8(image), result)).save(path)
    return path
