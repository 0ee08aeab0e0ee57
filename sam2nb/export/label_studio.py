"""Label Studio tasks: images with their masks as predictions, brush strokes to accept or to correct."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sam2nb.export.masks import ImageRecords
from sam2nb.masks.rle import as_rle
from sam2nb.predict.everything.records import Record
from sam2nb.structures import UNNAMED
from sam2nb.whole_file import whole_file

LOCAL_FILES = "/data/local-files/?d="  # the address of files in Label Studio's local storage
CHANNELS = 4  # its brush is an RGBA image
WORD_BITS = 8
LENGTH_BITS = (3, 6, 10, 16)  # of the runs, of which four sizes may be used


def save_label_studio(images: Iterable[ImageRecords], path: str | Path, prefix: str = LOCAL_FILES) -> Path:
    """Write a list of tasks for "Import" of Label Studio, one per image, with the masks as predictions.

    The labelling interface must have `<Image name="image" value="$image"/>` and `<BrushLabels name="tag"
    toName="image">` with the class names, "object" for masks without one. prefix: of the addresses of the images,
    which follow with their names.
    """
    count = 0
    with whole_file(path) as part, part.open("w", encoding="utf-8") as file:
        for image in images:
            file.write((",\n" if count else "[") + json.dumps(_task(image, prefix)))
            count += 1
        file.write("]\n" if count else "[]\n")
    return Path(path)


def _task(image: ImageRecords, prefix: str) -> dict[str, Any]:
    results = [_result(record, number, image.size_hw) for number, record in enumerate(image.records, start=1)]
    prediction = {"model_version": "sam2nb", "result": results}
    return {"data": {"image": f"{prefix}{image.file_name}"}, "predictions": [prediction]}


def _result(record: Record, number: int, size_hw: tuple[int, int]) -> dict[str, Any]:
    score = {"score": record["predicted_iou"]} if "predicted_iou" in record else {}
    value = {
        "format": "rle",
        "rle": brush_rle(as_rle(record["segmentation"]).to_mask()),
        "brushlabels": [record.get("class_name") or UNNAMED],
    }
    return {
        "id": f"mask{number}",
        "type": "brushlabels",
        "from_name": "tag",
        "to_name": "image",
        "original_width": size_hw[1],
        "original_height": size_hw[0],
        "image_rotation": 0,
        "value": value,
        **score,
    }


def brush_rle(mask: np.ndarray) -> list[int]:
    """The bytes of a brush stroke: its RGBA pixels row by row, in the run lengths of thi.ng's rle-pack.

    They begin with the number of values (32 bits), the bits of a value less 1 (5), and four sizes of run lengths less 1
    (4 each). A run is the bit 1, the index of its size (2 bits), its length less 1, and its value.

    mask: (H, W) bool
    """
    flat = mask.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], edges))
    lengths = np.diff(starts, append=len(flat)) * CHANNELS
    bits = [f"{len(flat) * CHANNELS:032b}{WORD_BITS - 1:05b}", *(f"{size - 1:04b}" for size in LENGTH_BITS)]
    longest = 2 ** LENGTH_BITS[-1]
    for length, inside in zip(lengths.tolist(), flat[starts].tolist(), strict=True):
        for part in [longest] * (length // longest) + [length % longest] * (length % longest > 0):
            index = next(i for i, size in enumerate(LENGTH_BITS) if part <= 2**size)
            bits.append(f"1{index:02b}{part - 1:0{LENGTH_BITS[index]}b}{255 * inside:0{WORD_BITS}b}")
    text = "".join(bits)
    padded = text + "0" * (-len(text) % 8)
    return list(int(padded, 2).to_bytes(len(padded) // 8, "big"))
