"""Checker of notebook 09_capstone: a project judged by a rubric, not by one right answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sam2nb.notebook.check import exercise

PICTURES = 12
HELD_OUT = 3  # at least
GAIN = 0.02  # of the mean IoU on the held-out pictures
PARTS = ("training", "held_out", "before", "after", "files")


@exercise("capstone")
def capstone(answer: Any) -> str | None:
    """Judge a project by the rubric: labels, a fair split, a gain on held-out pictures, and exported files.

    answer: a dict with `training` and `held_out` (LabelledImages), `before` and `after` (IoUs of every held-out object)
    and `files` (the exported ones).
    """
    if not isinstance(answer, dict) or set(answer) < set(PARTS):
        return f"give a dict with {', '.join(PARTS)}"
    for judge in (_labels, _split, _measure, _files):
        fault = judge(answer)
        if fault is not None:
            return fault
    return None


def _labels(answer: dict[str, Any]) -> str | None:
    count = 0
    for part in ("training", "held_out"):
        for name in answer[part].names:
            masks = np.asarray(answer[part].load(name).masks)
            if not len(masks) or not masks.any((1, 2)).all():
                return f"1 · labels: {name} has an empty mask or none"
            if (masks.mean((1, 2)) > 0.95).any():
                return f"1 · labels: a mask of {name} covers the whole picture"
            count += 1
    return None if count >= PICTURES else f"1 · labels: {count} pictures are labelled, {PICTURES} are needed"


def _split(answer: dict[str, Any]) -> str | None:
    held_out = [answer["held_out"].load(name).image for name in answer["held_out"].names]
    if len(held_out) < HELD_OUT:
        return f"2 · split: hold at least {HELD_OUT} pictures out, not {len(held_out)}"
    for name in answer["training"].names:
        image = answer["training"].load(name).image
        if any(np.array_equal(image, other) for other in held_out):
            return f"2 · split: {name} is in the training set and among the held-out pictures"
    return None


def _measure(answer: dict[str, Any]) -> str | None:
    before, after = np.ravel(answer["before"]), np.ravel(answer["after"])
    objects = sum(len(answer["held_out"].load(name).masks) for name in answer["held_out"].names)
    if len(before) != objects or len(after) != objects:
        return f"3 · measure: {objects} objects are held out; you measured {len(before)} before and {len(after)} after"
    for name, ious in (("before", before), ("after", after)):
        if not ((ious >= 0) & (ious <= 1)).all():
            return f"3 · measure: an IoU lies between 0 and 1; `{name}` has others"
    gain = float(after.mean() - before.mean())
    if gain < GAIN:
        return f"3 · measure: the mean IoU changed by {gain:+.2f}; at least +{GAIN} is asked for"
    return None


def _files(answer: dict[str, Any]) -> str | None:
    files = [Path(file) for file in answer["files"]]
    missing = [file.name for file in files if not file.is_file() or file.stat().st_size == 0]
    if missing:
        return f"4 · export: {', '.join(missing)} is missing or empty"
    suffixes = {file.suffix for file in files}
    if ".safetensors" not in suffixes:
        return "4 · export: save the tuned model as .safetensors"
    tables = [file for file in files if file.suffix == ".json"]
    if not tables:
        return "4 · export: export the masks as COCO .json"
    unread = [file.name for file in tables if not _is_coco(file)]
    return f"4 · export: {', '.join(unread)} is no COCO file with annotations" if unread else None


def _is_coco(file: Path) -> bool:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and bool(content.get("annotations"))
