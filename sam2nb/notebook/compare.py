"""Checkpoints for a comparison: fetch those named, and the line of code that fits a task."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from sam2nb.notebook.show import first_line
from sam2nb.weights.download import download
from sam2nb.weights.registry import Checkpoint, checkpoint_folder, find_checkpoint, is_on_disk

BYTES_PER_PARAMETER = 4  # float32, as the official files have them
SPARE = 1.1  # times the size of a file that must be free on the disk
PROMPTS = ("click", "clicks", "box")
MANY_OBJECTS = 8  # from here on the encoder is the smaller part of a frame


def fetch(names: Sequence[str]) -> list[str]:
    """Get checkpoints for a comparison and say in one line each what happened -> the names of those that are here.

    What is on disk stays; the rest is downloaded if the disk has room for it. What cannot be had is left out.
    Raises ValueError for an unknown name, before anything is downloaded.
    """
    here = []
    for checkpoint in [find_checkpoint(name) for name in names]:
        problem = None if is_on_disk(checkpoint) else _download(checkpoint)
        print(f"{checkpoint.name:<24}{'ready' if problem is None else 'left out: ' + problem}")
        if problem is None:
            here.append(checkpoint.name)
    return here


def _download(checkpoint: Checkpoint) -> str | None:
    """Download a checkpoint; the reason if it cannot be had."""
    size = checkpoint.parameters * BYTES_PER_PARAMETER
    folder = checkpoint_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    print(f"{checkpoint.name:<24}{size / 1e6:.0f} MB to download, {free / 1e9:.0f} GB free")
    if free < SPARE * size:
        return "the disk is too full"
    try:
        download(checkpoint.name)
    except OSError as error:
        return first_line(error).rstrip(":")
    return None


def advise(
    *,
    video: bool,
    gpu: bool,
    prompt: str = "click",
    objects: int = 1,
    offline: bool = False,
    hurry: bool = False,
) -> str:
    """The line of code that loads a model for a task, printed with its reason.

    video: clips instead of single images. gpu: a graphics card is there. prompt: one "click", several "clicks", or
    "box". objects: followed at once in video. offline: only what the project and package registries deliver.
    hurry: speed before quality.

    Raises ValueError for another prompt, or less than one object.
    """
    if prompt not in PROMPTS:
        raise ValueError(f'prompt must be "click", "clicks" or "box", got {prompt!r}')
    if objects < 1:
        raise ValueError(f"objects must be 1 or more, got {objects}")
    name, reason = _choose(video, gpu, prompt, objects, offline, hurry)
    options = ', dtype="auto"' if gpu else ""
    line = f'model = load_model("{name}"{options})'
    print(f"{line}    # {reason}")
    return line


def _choose(video: bool, gpu: bool, prompt: str, objects: int, offline: bool, hurry: bool) -> tuple[str, str]:
    """The name of a checkpoint and the reason for it; the same questions as the tree in notebook 05."""
    if gpu and not offline:
        if not hurry or (video and objects >= MANY_OBJECTS):
            return "sam2.1_hiera_large", "the best published; with many objects its encoder hardly counts"
        return "sam2.1_hiera_tiny", "half the time of large in video, three points of J&F less"
    if hurry:
        return "sam2nb_nano", "the cheapest by far, and it comes with the project"
    if video:
        return "sam2nb_tiny", "a learned memory at a quarter of the pixels"
    if prompt != "click":
        return "sam2_hiera_tiny", "the most exact with a box or several clicks of those that need no large download"
    return "sam2nb_tiny", "as good after one click, at a quarter of the pixels"
