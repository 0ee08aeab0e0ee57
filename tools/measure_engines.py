"""Measure what each engine and precision costs in quality: `data/benchmarks/engine_losses.json`, which `info` shows.

    python tools/measure_engines.py sam2_hiera_tiny

On the project's stills: IoU with the true masks by box and by one click, and IoU with the masks of PyTorch in float32.
"""

from __future__ import annotations

import argparse
import json
from statistics import mean

import numpy as np

from sam2nb import SAM2ImagePredictor, load_model
from sam2nb.evaluation import mask_iou
from sam2nb.evaluation.datasets import open_images
from sam2nb.evaluation.metrics import next_click
from sam2nb.evaluation.protocols import tight_box
from sam2nb.resources import resource_dir

FILE = resource_dir("data") / "benchmarks" / "engine_losses.json"
EXACT = "torch float32"
WAYS = {
    EXACT: {"dtype": "float32"},
    "torch bfloat16": {"dtype": "bfloat16"},
    "openvino float32": {"engine": "openvino", "precision": "float32"},
    "openvino bfloat16": {"engine": "openvino", "precision": "bfloat16"},
    "openvino int8": {"engine": "openvino", "precision": "int8"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    losses = json.loads(FILE.read_text()) if FILE.is_file() else {}
    for model in options.models:
        losses[model] = measure(model)
        for way, figures in losses[model].items():
            print(model, way, figures)
    FILE.write_text(json.dumps(losses, indent=1) + "\n")


def measure(model: str) -> dict[str, dict[str, float]]:
    """{way: {"box", "1 click": IoU with the truth; "same box", "same click": IoU with the masks in float32}}"""
    masks = {way: answers(model, **how) for way, how in WAYS.items()}
    truth = [mask for image in open_images() for mask in image.masks]
    return {
        way: {
            "box": _mean_iou(boxes, truth),
            "1 click": _mean_iou(clicks, truth),
            "same box": _mean_iou(boxes, masks[EXACT][0]),
            "same click": _mean_iou(clicks, masks[EXACT][1]),
        }
        for way, (boxes, clicks) in masks.items()
    }


def answers(model: str, **how: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The masks of all objects of the stills, by box and by one click."""
    predictor = SAM2ImagePredictor(load_model(model, device="cpu", **how), closer=False)
    by_box, by_click = [], []
    for image in open_images():
        predictor.set_image(image.image)
        for mask in image.masks:
            by_box.append(predictor.predict(box=tight_box(mask), multimask_output=False).masks[0])
            click = next_click(None, mask)
            found = predictor.predict(point_coords=[[click.x, click.y]], point_labels=[click.label])
            by_click.append(found.masks[found.scores.argmax()])
    return by_box, by_click


def _mean_iou(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    return round(mean(float(mask_iou(a, b)) for a, b in zip(found, expected, strict=True)), 4)


if __name__ == "__main__":
    main()
