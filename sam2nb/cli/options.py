"""Options that several commands share, each defined once; the model and the report that they choose."""

from __future__ import annotations

import glob
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sam2nb.cli.processes import Processes
    from sam2nb.cli.report import Report
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.video.predictor import SAM2VideoPredictor

RESULTS = Path("masks")  # the folder that results go to, unless an option names another
DEVICES = ("cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")
MEMORIES = ("official", "steady", "anchored", "match")
SEARCHES = ("frame", "region")


def check_given(value: Path | list[Path] | None) -> Path | list[Path] | None:
    """Raise FileNotFoundError for a path that was given and does not exist; a glob pattern is looked up later.

    As the callback of an argument it comes before the complaint about another argument that is missing.
    """
    from sam2nb.media.folder import check_exists

    for path in value if isinstance(value, list) else [value]:
        if path is not None and not glob.has_magic(str(path)):
            check_exists(path)
    return value


def complete_models(incomplete: str) -> list[str]:
    """The names of checkpoints that begin with a text, for the completion of shells."""
    from sam2nb.weights.registry import CHECKPOINTS

    return [name for name in ("auto", *CHECKPOINTS) if name.startswith(incomplete)]


def _complete(names: tuple[str, ...]) -> Callable[[str], list[str]]:
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def _one_of(name: str, known: tuple[str, ...]) -> Callable[[str | None], str | None]:
    """A callback that raises ValueError for a value that is not among the known ones."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in known:
            raise ValueError(f"--{name} must be one of {', '.join(known)}, got {value!r}")
        return value

    return check


ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="Checkpoint name; auto takes the best one on disk.", autocompletion=complete_models
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        "-w",
        help="Weights file to load into the configuration of --model (not auto).",
        callback=check_given,
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        "-d",
        help="cpu, cuda, cuda:1, mps; default: the best available.",
        autocompletion=_complete(DEVICES),
    ),
]
DtypeOption = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="float32, bfloat16, float16; auto: the half precision in which the device is fast, if any.",
        autocompletion=_complete(DTYPES),
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option("--engine", help="openvino, faster on processors; default: PyTorch."),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option("--precision", help="Of --engine: float32, bfloat16 or int8 (lossy, fastest)."),
]
ImageSizeOption = Annotated[
    int | None, typer.Option("--image-size", "-s", help="Side of the model's input; default: as trained.")
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
    typer.Option(
        "--memory",
        help="official (learned), steady or anchored (the same, kept clear of look-alikes), match (compare features); "
        "default: official, or match where the weights have no memory.",
        callback=_one_of("memory", MEMORIES),
        autocompletion=_complete(MEMORIES),
    ),
]
SearchOption = Annotated[
    str,
    typer.Option(
        "--search",
        help="Look for objects in the whole frame, or in a region around their last place, which shows small ones "
        "larger: frame or region.",
        callback=_one_of("search", SEARCHES),
        autocompletion=_complete(SEARCHES),
    ),
]
MotionOption = Annotated[
    bool, typer.Option("--motion", help="Let the speed of an object count in the choice among the model's masks.")
]
NamesOption = Annotated[
    str | None, typer.Option("--names", "-n", help="Class names of the objects in their order, such as cat,dog.")
]
FolderOption = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume", "-r", help="Go on where an earlier run of the same command was stopped.")
]
ToleranceOption = Annotated[
    float,
    typer.Option("--tolerance", min=0, help="Pixels by which outlines may be simplified; 0 keeps every pixel."),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", "-j", help="Write results as JSON to this file; - prints them.", allow_dash=True),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Also print the traceback of an error.")]


@dataclass(frozen=True)
class ModelChoice:
    """The options that choose a model, and how it computes."""

    model: ModelOption = "auto"
    weights: WeightsOption = None
    device: DeviceOption = None
    dtype: DtypeOption = "auto"
    image_size: ImageSizeOption = None
    engine: EngineOption = None
    precision: PrecisionOption = None

    def load(self, device: str | None = None) -> SAM2:
        """Load the model. device: in place of that of the options."""
        place, how = device or self.device, (self.engine, self.precision)
        return load_chosen_model(self.model, self.weights, place, self.dtype, self.image_size, *how)


@dataclass(frozen=True)
class PromptChoice:
    """The options that say which objects of an image or of a frame are meant."""

    click: Annotated[
        list[str] | None, typer.Option("--click", "-c", help="x,y of a pixel inside the object; may be repeated.")
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", "-x", help="x,y of a pixel outside the object; may be repeated.")
    ] = None
    box: Annotated[
        list[str] | None,
        typer.Option("--box", "-b", help="x1,y1,x2,y2 around an object; several boxes are several objects."),
    ] = None
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes",
            help="What a detector found, .csv or .json: x_min,y_min,x_max,y_max,class_name.",
            callback=check_given,
        ),
    ] = None
    names: NamesOption = None


@dataclass(frozen=True)
class TrackingChoice:
    """The options that say how objects are tracked."""

    memory: MemoryOption = None
    search: SearchOption = "frame"
    motion: MotionOption = False
    closer: CloserOption = None

    def predictor(self, model: SAM2) -> SAM2VideoPredictor:
        """A predictor for video with these options."""
        from sam2nb.predict.video.predictor import SAM2VideoPredictor

        return SAM2VideoPredictor(
            model, memory=self.memory, search=self.search, motion=self.motion, closer=bool(self.closer)
        )


@dataclass(frozen=True)
class ReportChoice:
    """The option that says how a command reports."""

    json_file: JsonOption = None

    def open(self, command: str, processes: Processes | None = None) -> AbstractContextManager[Report]:
        """The report of a command, for a `with` block; of several processes the main one writes the document."""
        from sam2nb.cli.report import report_of

        is_main = processes is None or processes.is_main
        return report_of(command, self.json_file if is_main else None)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters of the kinds above are spread out, each field an option of its own; and --debug."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    @wraps(command)
    def call(debug: bool = False, **values: Any) -> None:  # `main` looks for --debug itself
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            types = get_type_hints(groups[name], include_extras=True)
            parts = [(field.name, field.default, types[field.name]) for field in fields(groups[name])]
        else:
            parts = [(name, parameter.default, hints[name])]
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters += [inspect.Parameter(part, kind, default=default, annotation=hint) for part, default, hint in parts]
    parameters.append(inspect.Parameter("debug", kind, default=False, annotation=DebugOption))
    call.__signature__ = inspect.Signature(parameters)
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def load_chosen_model(
    model: str,
    weights: Path | None,
    device: str | None,
    dtype: str | None,
    image_size: int | None,
    engine: str | None = None,
    precision: str | None = None,
) -> SAM2:
    """Load the model that the options choose: a checkpoint by name, or a weights file in its configuration.

    Says so where a processor will compute in half precision. Raises ValueError for a weights file without the name of a
    checkpoint, and what `load_model` raises.
    """
    from sam2nb.build import build_sam2, check_engine, load_model, use_engine
    from sam2nb.devices import pick_device, pick_dtype
    from sam2nb.weights.registry import find_checkpoint

    check_engine(engine, precision)
    place = pick_device("cpu" if engine and device is None else device)
    chosen = pick_dtype(None if engine else dtype, place)
    if dtype == "auto" and place.type == "cpu" and chosen is not pick_dtype(None, place):
        typer.echo("computing in bfloat16, in which this processor is faster; --dtype float32 is exact", err=True)
    if weights is None:
        return load_model(model, place, chosen, image_size, engine=engine, precision=precision)
    if model == "auto":
        raise ValueError("--weights needs --model, whose configuration the file must fit; for example sam2nb_nano")
    overrides = [] if image_size is None else [f"++model.image_size={image_size}"]
    sam2 = build_sam2(find_checkpoint(model).config, weights, device=place, hydra_overrides_extra=overrides)
    sam2.compute_dtype = chosen
    return use_engine(sam2, engine, precision)
