"""`auto`: images in, masks of everything in them out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam2nb.cli.auto_run import AutoRun
from sam2nb.cli.options import (
    CacheOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    ModelOption,
    WeightsOption,
    load_chosen_model,
)

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

BYTES_PER_MEGABYTE = 10**6
SETTINGS = (  # of the generator, in the order of the options
    "points_per_side",
    "pred_iou_thresh",
    "stability_score_thresh",
    "box_nms_thresh",
    "min_mask_region_area",
    "crop_n_layers",
    "tiles",
    "use_m2m",
)


def auto(
    images: Annotated[list[Path], typer.Argument(help="Images to segment.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("masks"),
    formats: Annotated[str, typer.Option("--format", help="Any of coco,yolo,labels,overlay.")] = "coco,overlay",
    points_per_side: Annotated[int, typer.Option(help="Points along each side of the grid of prompts.")] = 32,
    pred_iou: Annotated[float, typer.Option(help="Drop masks with a predicted IoU of this or less.")] = 0.8,
    stability: Annotated[float, typer.Option(help="Drop masks with a stability score below this.")] = 0.95,
    box_nms: Annotated[float, typer.Option(help="Of masks whose boxes overlap more than this, keep the better.")] = 0.7,
    min_area: Annotated[int, typer.Option(help="Fill holes and drop islands of fewer pixels.")] = 0,
    crops: Annotated[int, typer.Option(help="Layers of crops to segment again, for small objects.")] = 0,
    tiles: Annotated[int | None, typer.Option(help="Side of overlapping tiles, for very large images.")] = None,
    refine: Annotated[bool, typer.Option("--refine", help="Predict again from the first masks (m2m).")] = False,
    memory: Annotated[int | None, typer.Option(help="Megabytes that one batch may take.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out images that an earlier run finished.")] = False,
    cache: CacheOption = None,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Segment everything in images; write COCO json, YOLO outlines, label maps, overlays.

    A run that was stopped goes on when the same command is given with --resume:

    python -m sam2nb auto data/photos/coins.jpg data/photos/cat.jpg --out build/masks --points-per-side 8 --resume
    """
    values = (points_per_side, pred_iou, stability, box_nms, min_area, crops, tiles, refine)
    settings = dict(zip(SETTINGS, values, strict=True))
    wanted = _read_formats(formats)
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    generator = _make_generator(sam2, settings, memory, cache)
    _write_masks(generator, images, _begin_run(out, settings, wanted, sam2, resume))


def _read_formats(text: str) -> list[str]:
    from sam2nb.export.masks import check_formats

    wanted = [name.strip() for name in text.split(",") if name.strip()]
    check_formats(wanted)
    return wanted


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


def _begin_run(folder: Path, settings: dict[str, Any], formats: list[str], sam2: SAM2, resume: bool) -> AutoRun:
    from sam2nb.predict.saving import note_model

    return AutoRun.begin(folder, {**settings, "formats": formats, **note_model(sam2)._asdict()}, resume)


def _write_masks(generator: SAM2AutomaticMaskGenerator, images: list[Path], run: AutoRun) -> None:
    """Segment the images that the run has not finished; writes each before the next begins."""
    from sam2nb.export.masks import save_formats

    for image in images:
        if run.has(image):
            typer.echo(f"{image}: done before")
            continue
        records = generator.generate(image, progress=sys.stderr.isatty())
        typer.echo(f"{image}: {len(records)} masks ({generator.survivors})")
        files = save_formats(records, image, run.folder, run.settings["formats"])
        run.add(image, files)
        for path in files:
            typer.echo(f"  {path}")
