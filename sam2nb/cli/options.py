"""Options that several commands share, and the model that they choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2

ModelOption = Annotated[str, typer.Option("--model", help="Checkpoint name; auto takes the best one on disk.")]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help="Weights file to load into the configuration of --model (not auto)."),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps; default: the best available.")
]
DtypeOption = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
ImageSizeOption = Annotated[
    int | None, typer.Option("--image-size", help="Side of the model's input; default: as trained.")
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder that keeps encoded images, so that none is encoded twice.")
]
CloserOption = Annotated[
    bool | None,
    typer.Option(
        "--closer/--no-closer",
        help="Answer prompts on small objects again on a crop; default: for images by nano yes, else no.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option("--memory", help="official (learned) or match (compare features); default: by the weights."),
]
ClickOption = Annotated[
    list[str] | None, typer.Option("--click", help="x,y of a pixel inside the object; may be repeated.")
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option("--exclude", help="x,y of a pixel outside the object; may be repeated.")
]
BoxOption = Annotated[
    list[str] | None, typer.Option("--box", help="x1,y1,x2,y2 around an object; several boxes are several objects.")
]
BoxesOption = Annotated[
    Path | None,
    typer.Option("--boxes", help="What a detector found, .csv or .json: x_min,y_min,x_max,y_max,class_name."),
]
NamesOption = Annotated[
    str | None, typer.Option("--names", help="Class names of the objects in their order, such as cat,dog.")
]


def load_chosen_model(model: str, weights: Path | None, device: str | None, dtype: str, image_size: int | None) -> SAM2:
    """Load the model that the options choose: a checkpoint by name, or a weights file in its configuration.

    Raises ValueError for a weights file without the name of a checkpoint.
    """
    from sam2nb.build import build_sam2, load_model, pick_device, pick_dtype
    from sam2nb.weights.registry import find_checkpoint

    if weights is None:
        return load_model(model, device=device, dtype=dtype, image_size=image_size)
    if model == "auto":
        raise ValueError("--weights needs --model, whose configuration the file must fit; for example sam2nb_nano")
    overrides = [] if image_size is None else [f"++model.image_size={image_size}"]
    sam2 = build_sam2(find_checkpoint(model).config, weights, device=device, hydra_overrides_extra=overrides)
    sam2.compute_dtype = pick_dtype(dtype, pick_device(device))
    return sam2
