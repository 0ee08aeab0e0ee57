"""`evaluate` and `benchmark`: the quality of a checkpoint, and its speed on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam2nb.cli.options import (
    DeviceOption,
    DtypeOption,
    JsonOption,
    ModelChoice,
    ModelOption,
    TrackingChoice,
    WeightsOption,
    check_given,
)

if TYPE_CHECKING:
    from sam2nb.evaluation.protocols import ImageScores, VideoScores
    from sam2nb.evaluation.samples import LabelledClip, LabelledImages
    from sam2nb.model.sam2 import SAM2

AgainstOption = Annotated[
    str,
    typer.Option(
        help="official, transformers, folders of other checkouts of sam2nb, other ways to compute: float32, bfloat16, "
        "openvino, openvino:bfloat16, openvino:int8; separated by commas."
    ),
]
PartsOption = Annotated[
    str,
    typer.Option(
        help="encode, click, everything, everything_unfiltered, largest (GPU), folder; with a number of objects: "
        "track1, track4, stream1, …; separated by commas."
    ),
]
SidesOption = Annotated[str, typer.Option(help="Sides of the model's input, one run each; separated by commas.")]
RandomWeightsOption = Annotated[
    bool, typer.Option("--random-weights", help="Random weights of the same size: no download, same speed.")
]
WorkloadOption = Annotated[
    list[str] | None, typer.Option(help="A size to change, as in photo_hw=1500x2250; may be repeated.")
]


def evaluate(
    *,
    images: Annotated[
        Path | None, typer.Option(help="Folder or COCO .json of labelled images.", callback=check_given)
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="Folder of labelled clips (frames/masks, DAVIS, SA-V).", callback=check_given)
    ] = None,
    clicks: Annotated[str, typer.Option(help="Numbers of clicks after which to record the IoU.")] = "1,2,3,5",
    prompt: Annotated[str, typer.Option(help="Prompt at the start of a clip: mask, box or click.")] = "mask",
    tracking: TrackingChoice,
    min_area: Annotated[float, typer.Option(help="Leave out objects of this many pixels or fewer.")] = 0,
    chosen: ModelChoice,
    json_file: JsonOption = None,
) -> None:
    """Score a checkpoint on labelled images (IoU by box and clicks) and clips (J&F).

    python -m sam2nb evaluate --images data/sample/stills --clicks 1 --model sam2nb_nano
    """
    from sam2nb.cli.report import is_printed
    from sam2nb.evaluation.datasets import open_clips, open_images

    counts = _whole_numbers("clicks", clicks)
    labelled_images = open_images(images, min_area=min_area) if images or not clips else None
    labelled_clips = open_clips(clips) if clips else None
    if chosen.dtype == "auto":  # figures of all processors compare
        chosen = replace(chosen, dtype=None)
    sam2 = chosen.load()
    conditions = _conditions(sam2, chosen, tracking)
    scores: list[ImageScores | VideoScores] = []
    for score, lines in _score(sam2, labelled_images, labelled_clips, counts, prompt, tracking):
        for line in lines:
            typer.echo(line, err=is_printed(json_file))
        scores.append(score)
        if json_file is not None and not is_printed(json_file):  # also after the first, so that it is not lost
            _save(json_file, chosen.model, conditions, scores)
    if is_printed(json_file):
        _save(json_file, chosen.model, conditions, scores)


def _score(
    sam2: SAM2,
    images: LabelledImages | None,
    clips: list[LabelledClip] | None,
    clicks: list[int],
    prompt: str,
    tracking: TrackingChoice,
) -> Iterator[tuple[ImageScores | VideoScores, Iterator[str]]]:
    """The scores on images, then on clips, each with the lines to print."""
    from sam2nb.evaluation.protocols import evaluate_images, evaluate_video
    from sam2nb.predict.image import SAM2ImagePredictor

    if images is not None:
        score = evaluate_images(SAM2ImagePredictor(sam2, closer=tracking.closer), images, clicks=clicks)
        yield score, _image_lines(score, len(images))
    if clips is not None:
        score = evaluate_video(tracking.predictor(sam2), clips, prompt=prompt)
        yield score, _video_lines(score)


def _save(json_file: Path, model: str, conditions: dict[str, Any], scores: Sequence[ImageScores | VideoScores]) -> None:
    from sam2nb.cli.report import json_target
    from sam2nb.evaluation.protocols import save_scores

    with json_target(json_file) as path:
        save_scores(path, model, conditions, *scores)


def _conditions(sam2: SAM2, chosen: ModelChoice, tracking: TrackingChoice) -> dict[str, Any]:
    """The conditions under which scores can be compared, for the JSON file."""
    return {
        "model": chosen.model,
        "weights": chosen.weights.name if chosen.weights else None,
        "image_size": sam2.image_size,
        "dtype": str(sam2.compute_dtype).removeprefix("torch."),
        "engine": " ".join(filter(None, (chosen.engine, chosen.precision))) or None,
        "device": sam2.device.type,
        **asdict(tracking),
    }


def _image_lines(score: ImageScores, images: int) -> Iterator[str]:
    yield f"{score.objects} objects in {images} images, IoU: {_means(score)}"
    for size, part in score.by_size().items():
        yield f"{part.objects:5} {size:6}  {_means(part)}"
    yield from (f"left out: {problem}" for problem in score.problems)


def _means(score: ImageScores) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in score.mean().items())


def _video_lines(score: VideoScores) -> Iterator[str]:
    for name, value in score.objects.items():
        yield f"{name:24} J {value.j:.3f}  F {value.f:.3f}  J&F {value.j_and_f:.3f}"
    mean = score.mean()
    yield f"{len(score.objects)} objects: J {mean.j:.3f}  F {mean.f:.3f}  J&F {mean.j_and_f:.3f}"
    yield from (f"left out: {problem}" for problem in score.problems)


def benchmark(
    model: ModelOption = "sam2.1_hiera_tiny",
    against: AgainstOption = "",
    parts: PartsOption = "encode,click,track1",
    random_weights: RandomWeightsOption = False,
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    image_size: SidesOption = "1024",
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile in every implementation.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads of each implementation.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds after the warm-up; 0 measures memory only.")] = 5,
    busy: Annotated[int, typer.Option(help="Neighbours: so many other processes keep a core each busy.")] = 0,
    workload: WorkloadOption = None,
    json_file: JsonOption = None,
) -> None:
    """Measure speed and memory, interleaved with other implementations on the same weights.

    With several input sizes, --json writes a file for each.

    python -m sam2nb benchmark --model sam2nb_nano --image-size 64 --parts encode,click --repeats 1
    """
    from sam2nb.devices import pick_device
    from sam2nb.evaluation.benchmarks.setting import Workload

    conditions = {
        "against": [name for name in against.split(",") if name],
        "parts": parts.split(","),
        "weights": None if random_weights else str(weights or "own"),
        "device": str(pick_device(device)),
        "dtype": dtype,
        "compile": compile,
        "threads": threads,
        "repeats": repeats,
        "busy": busy,
        "workload": Workload.parse(workload or ()),
    }
    _measure(model, _whole_numbers("image-size", image_size), conditions, json_file)


def _measure(model: str, sides: list[int], conditions: dict[str, Any], json_file: Path | None) -> None:
    """Run the benchmark for each side of the model's input."""
    from sam2nb.cli.report import is_printed, json_target
    from sam2nb.evaluation import benchmark as run_benchmark
    from sam2nb.evaluation.benchmarks.parts import explain_parts

    say = partial(typer.echo, err=is_printed(json_file))
    say("\n".join(explain_parts(conditions["parts"])))
    for side in sides:
        kind = "random" if conditions["weights"] is None else "trained"
        say(f"{model}, input {side}, {kind} weights, dtype {conditions['dtype'] or 'as usual'}")
        target = None if json_file is None or is_printed(json_file) else _file_of(json_file, side, len(sides))
        result = run_benchmark(model, **conditions, image_size=side, report=say, save_to=target)
        if is_printed(json_file):
            with json_target(json_file) as path:
                result.save(path)


def _whole_numbers(option: str, text: str) -> list[int]:
    """Read "1,2,5". Raises ValueError that names the option."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--{option} must be whole numbers separated by commas, got {text!r}") from None


def _file_of(path: Path, side: int, count: int) -> Path:
    """The file of one of several input sizes: runs/tiny.json -> runs/tiny_512.json"""
    return path if count == 1 else path.with_stem(f"{path.stem}_{side}")
