"""Records of a checkpoint on a machine: accuracy on labelled images, and speed, as a small file.

`python -m sam2nb record NAME` writes one into data/records/; notebook 05 plots all that are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam2nb.build import load_model
from sam2nb.devices import pick_device
from sam2nb.evaluation.benchmarks.run import benchmark
from sam2nb.evaluation.datasets import open_images
from sam2nb.evaluation.protocols import evaluate_images
from sam2nb.evaluation.samples import LabelledImages
from sam2nb.resources import resource_dir
from sam2nb.weights.registry import find_checkpoint
from sam2nb.whole_file import write_text

SAMPLE = "data/sample/stills"
PARTS = ("encode", "click")  # of the benchmark
MACHINE_FACTS = ("cpu", "cores", "gpu", "instructions", "load_before", "system", "torch")
IOU_DIGITS, SECOND_DIGITS = 4, 5


@dataclass(frozen=True)
class Record:
    """The measurements of a checkpoint on a machine, and their conditions.

    images: the labelled images. iou: of every object, by prompt ("box", "clicks_1", …), in the same order.
    seconds, cpu_seconds: medians by part, on the clock and of all threads together. threads: None for torch's default.
    """

    checkpoint: str
    image_size: int
    dtype: str
    device: str
    threads: int | None
    machine: dict[str, Any]
    created: str
    images: str
    iou: dict[str, list[float]]
    seconds: dict[str, float]
    cpu_seconds: dict[str, float]

    @property
    def machine_name(self) -> str:
        """The graphics card, or else the processor and its cores."""
        if self.machine.get("gpu"):
            return str(self.machine["gpu"])
        return f"{self.machine['cpu']}, {self.machine['cores']} cores"

    @property
    def file_name(self) -> str:
        """A name that tells checkpoint, input, precision and machine apart."""
        machine = re.sub(r"[^a-z0-9]+", "-", self.machine_name.lower()).strip("-")
        return f"{self.checkpoint}_{self.image_size}_{self.dtype}_{machine}.json"

    @property
    def objects(self) -> int:
        """The number of objects scored."""
        return max(map(len, self.iou.values()), default=0)

    def save(self, folder: str | Path | None = None) -> Path:
        """Write the record into a folder, by default data/records of this copy of the project -> its file."""
        path = (Path(folder) if folder is not None else records_folder()) / self.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, _compact_lists(json.dumps(asdict(self), indent=1)) + "\n")
        return path


def record_checkpoint(
    name: str,
    images: str | Path | LabelledImages | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    image_size: int | None = None,
    threads: int | None = None,
    repeats: int = 5,
    report: Callable[[str], None] = lambda line: None,
) -> Record:
    """Measure a checkpoint here: IoU with a box and with clicks by `evaluate_images`, and speed by `benchmark`.

    images: a folder, COCO .json or opened images; None for the project's own stills. image_size: by default as trained.
    threads: for the benchmark on the CPU. report: called with every line of text.

    Raises what `load_model`, `open_images` and `benchmark` raise.
    """
    checkpoint = find_checkpoint(name)
    labelled = images if isinstance(images, LabelledImages) else open_images(images)
    model = load_model(checkpoint.name, device, dtype, image_size)
    side, precision = model.image_size, str(model.compute_dtype).removeprefix("torch.")
    scores = evaluate_images(model, labelled)
    iou = {"box": scores.box, **{f"clicks_{k}": values for k, values in scores.clicks.items()}}
    report(f"{scores.objects} objects in {len(labelled)} images: {_means(iou)}")
    del model  # the benchmark loads its own
    conditions = {"device": str(pick_device(device)), "dtype": precision, "image_size": side, "threads": threads}
    run = benchmark(checkpoint.name, parts=PARTS, repeats=repeats, report=report, **conditions)
    timed = {timing.part: timing for timing in run.timings if timing.seconds}
    return Record(
        checkpoint.name,
        **conditions,
        machine={fact: run.machine.get(fact) for fact in MACHINE_FACTS},
        created=run.created,
        images=SAMPLE if images is None else Path(labelled.source).name,
        iou={prompt: [round(value, IOU_DIGITS) for value in values] for prompt, values in iou.items()},
        seconds={part: round(timing.median, SECOND_DIGITS) for part, timing in timed.items()},
        cpu_seconds={part: round(timing.median_cpu, SECOND_DIGITS) for part, timing in timed.items()},
    )


def records_folder() -> Path:
    """The folder of records that belongs to this copy of the project."""
    return resource_dir("data") / "records"


def load_records(folder: str | Path | None = None) -> list[Record]:
    """All records of a folder, by default the project's, in the order of their file names.

    Raises ValueError that names a file which is no record.
    """
    records = []
    for path in sorted((Path(folder) if folder is not None else records_folder()).glob("*.json")):
        try:
            records.append(Record(**json.loads(path.read_text())))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path.name} is no record of `python -m sam2nb record`: {error}") from error
    return records


def _means(iou: dict[str, list[float]]) -> str:
    return "  ".join(f"{prompt} {sum(values) / max(len(values), 1):.3f}" for prompt, values in iou.items())


def _compact_lists(text: str) -> str:
    """JSON with every list of numbers on one line."""
    return re.sub(r"\[\s*([^\[\]{}\"]*?)\s*\]", lambda match: "[" + re.sub(r"\s+", " ", match[1]) + "]", text)
