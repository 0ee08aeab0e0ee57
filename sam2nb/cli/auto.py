"""`auto`: images in, masks of everything in them out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from sam2nb.export.masks import check_formats
    from sam2nb.predict.cache import EmbeddingCache
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator
    from sam2nb.predict.saving import note_model

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    check_formats(wanted)
    settings = {
        "points_per_side": points_per_side,
        "pred_iou_thresh": pred_iou,
        "stability_score_thresh": stability,
        "box_nms_thresh": box_nms,
        "crop_n_layers": crops,
        "min_mask_region_area": min_area,
        "use_m2m": refine,
        "tiles": tiles,
    }
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    budget = None if memory is None else memory * BYTES_PER_MEGABYTE
    generator = SAM2AutomaticMaskGenerator(sam2, output_mode="coco_rle", memory_budget=budget, **settings)
    if cache is not None:
        generator.predictor.cache = EmbeddingCache(cache)
    run = AutoRun.begin(out, {**settings, "formats": wanted, **note_model(sam2)._asdict()}, resume)
    _write_masks(generator, images, run)


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
