"""`auto`: images in, masks of everything in them out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import (
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    ModelOption,
    WeightsOption,
    load_chosen_model,
)

if TYPE_CHECKING:
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

BYTES_PER_MEGABYTE = 10**6


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
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Segment everything in images; write COCO json, YOLO outlines, label maps, overlays."""
    from sam2nb.export.masks import check_formats
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    check_formats(wanted)
    generator = SAM2AutomaticMaskGenerator(
        load_chosen_model(model, weights, device, dtype, image_size),
        points_per_side=points_per_side,
        pred_iou_thresh=pred_iou,
        stability_score_thresh=stability,
        box_nms_thresh=box_nms,
        crop_n_layers=crops,
        min_mask_region_area=min_area,
        output_mode="coco_rle",
        use_m2m=refine,
        memory_budget=None if memory is None else memory * BYTES_PER_MEGABYTE,
        tiles=tiles,
    )
    _write_masks(generator, images, out, wanted)


def _write_masks(generator: SAM2AutomaticMaskGenerator, images: list[Path], folder: Path, formats: list[str]) -> None:
    """Segment image after image; writes each before the next begins."""
    from sam2nb.export.masks import save_formats

    for image in images:
        records = generator.generate(image, progress=sys.stderr.isatty())
        typer.echo(f"{image}: {len(records)} masks ({generator.survivors})")
        for path in save_formats(records, image, folder, formats):
            typer.echo(f"  {path}")
