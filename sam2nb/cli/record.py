"""`record`: accuracy and speed of a checkpoint on this machine, as a small file for notebook 05."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sam2nb.cli.options import DeviceOption, DtypeOption, ImageSizeOption, check_given, complete_models


def record(
    name: Annotated[
        str, typer.Argument(help="A checkpoint name, such as sam2.1_hiera_tiny.", autocompletion=complete_models)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write to; default: the project's data/records.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder or COCO .json of labelled images; default: the project's.", callback=check_given),
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    image_size: ImageSizeOption = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads while timing.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds after the warm-up.")] = 5,
) -> None:
    """Record the accuracy and the speed of a checkpoint on this machine.

    python -m sam2nb record sam2nb_nano --out build/records
    """
    from sam2nb.evaluation.records import record_checkpoint

    conditions = {"device": device, "dtype": dtype, "image_size": image_size, "threads": threads, "repeats": repeats}
    typer.echo(record_checkpoint(name, images, **conditions, report=typer.echo).save(out))
