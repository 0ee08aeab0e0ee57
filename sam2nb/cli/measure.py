"""`evaluate` and `benchmark`: the quality of a checkpoint, and its speed on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam2nb.cli.options import (
    CloserOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    ModelOption,
    WeightsOption,
    load_chosen_model,
)

if TYPE_CHECKING:
    from sam2nb.evaluation.protocols import ImageScores, VideoScores
    from sam2nb.model.sam2 import SAM2

AgainstOption = Annotated[
    str, typer.Option(help="official, transformers, folders of other checkouts of sam2nb; separated by commas.")
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
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    images: Annotated[Path | None, typer.Option(help="Folder or COCO .json of labelled images.")] = None,
    clips: Annotated[Path | None, typer.Option(help="Folder of labelled clips (frames/masks, DAVIS or SA-V).")] = None,
    clicks: Annotated[str, typer.Option(help="Numbers of clicks after which to record the IoU.")] = "1,2,3,5",
    prompt: Annotated[str, typer.Option(help="Prompt at the start of a clip: mask, box or click.")] = "mask",
    closer: CloserOption = None,
    min_area: Annotated[float, typer.Option(help="Leave out objects of this many pixels or fewer.")] = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all scores here.")] = None,
) -> None:
    """Score a checkpoint on labelled images (IoU by box and clicks) and clips (J&F)."""
    from sam2nb.evaluation.datasets import open_clips, open_images
    from sam2nb.evaluation.protocols import evaluate_images, evaluate_video, save_scores
    from sam2nb.predict.image import SAM2ImagePredictor
    from sam2nb.predict.video.predictor import SAM2VideoPredictor

    labelled_images = open_images(images, min_area=min_area) if images or not clips else None
    labelled_clips = open_clips(clips) if clips else None
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    conditions = _conditions(sam2, model, weights, closer)
    scores = []
    if labelled_images is not None:
        predictor = SAM2ImagePredictor(sam2, closer=closer)
        score = evaluate_images(predictor, labelled_images, clicks=[int(count) for count in clicks.split(",")])
        _print_image_scores(score, len(labelled_images))
        scores.append(score)
        if json_file:  # before the clips, so that an error there does not lose these scores
            save_scores(json_file, model, conditions, *scores)
    if labelled_clips is not None:
        score = evaluate_video(SAM2VideoPredictor(sam2, closer=bool(closer)), labelled_clips, prompt=prompt)
        _print_video_scores(score)
        scores.append(score)
    if json_file:
        save_scores(json_file, model, conditions, *scores)


def _conditions(sam2: SAM2, model: str, weights: Path | None, closer: bool | None) -> dict[str, Any]:
    """The conditions under which scores can be compared, for the JSON file."""
    return {
        "model": model,
        "weights": weights.name if weights else None,
        "image_size": sam2.image_size,
        "dtype": str(sam2.compute_dtype).removeprefix("torch."),
        "device": sam2.device.type,
        "closer": closer,
    }


def _print_image_scores(score: ImageScores, images: int) -> None:
    typer.echo(f"{score.objects} objects in {images} images, IoU: {_means(score)}")
    for size, part in score.by_size().items():
        typer.echo(f"{part.objects:5} {size:6}  {_means(part)}")
    _print_problems(score.problems)


def _means(score: ImageScores) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in score.mean().items())


def _print_video_scores(score: VideoScores) -> None:
    for name, value in score.objects.items():
        typer.echo(f"{name:24} J {value.j:.3f}  F {value.f:.3f}  J&F {value.j_and_f:.3f}")
    mean = score.mean()
    typer.echo(f"{len(score.objects)} objects: J {mean.j:.3f}  F {mean.f:.3f}  J&F {mean.j_and_f:.3f}")
    _print_problems(score.problems)


def _print_problems(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(f"left out: {problem}")


def benchmark(
    model: ModelOption = "sam2.1_hiera_tiny",
    against: AgainstOption = "",
    parts: PartsOption = "encode,click,track1",
    random_weights: RandomWeightsOption = False,
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: SidesOption = "1024",
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile in every implementation.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads of each implementation.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds after the warm-up; 0 measures memory only.")] = 5,
    workload: WorkloadOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File to write, one per input size.")] = None,
) -> None:
    """Measure speed and memory, interleaved with other implementations on the same weights."""
    from sam2nb.build import pick_device
    from sam2nb.evaluation import benchmark as run_benchmark
    from sam2nb.evaluation.benchmarks.parts import explain_parts
    from sam2nb.evaluation.benchmarks.setting import Workload

    typer.echo("\n".join(explain_parts(parts.split(","))))
    sides = [int(side) for side in image_size.split(",")]
    for side in sides:
        typer.echo(f"{model}, input {side}, {'random' if random_weights else 'trained'} weights, dtype {dtype}")
        run_benchmark(
            model,
            against=[name for name in against.split(",") if name],
            parts=parts.split(","),
            weights=None if random_weights else str(weights or "own"),
            device=str(pick_device(device)),
            dtype=dtype,
            image_size=side,
            compile=compile,
            threads=threads,
            repeats=repeats,
            workload=Workload.parse(workload or ()),
            report=typer.echo,
            save_to=json_file and (json_file if len(sides) == 1 else _with_side(json_file, side)),
        )


def _with_side(path: Path, side: int) -> Path:
    """runs/tiny.json -> runs/tiny_512.json"""
    return path.with_stem(f"{path.stem}_{side}")
