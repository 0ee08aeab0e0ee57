"""`doctor`: check the machine, the packages, the weights and the browser, and say what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import time
import webbrowser
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import typer

from sam2nb.cli.options import ReportChoice

OLDEST_PYTHON = (3, 10)
REQUIRED = "sam2nb"  # whose requirements are looked up
OPTIONAL = {  # by import name: the package, and what it is good for
    "anywidget": ("anywidget", "the live widgets of the notebooks"),
    "onnxruntime": ("onnxruntime", "Meta's tiny weights where only npm can be reached"),
    "accelerate": ("accelerate", "training, and folders on several processes or GPUs"),
    "tensorboard": ("tensorboard", "curves of training runs"),
    "transformers": ("transformers", "checkpoints and examples of Hugging Face"),
    "openvino": ("openvino", 'faster on processors, engine="openvino"'),
}
FREE_GB = 2  # below it downloads may fail
MEMORY_GB = 2
TRIAL_SHARE = (0.1, 0.9)  # of the photograph that the trial mask may cover


class Check(NamedTuple):
    """One thing that was checked. is_good: None for something that may be missing. remedy: for what is not good."""

    name: str
    is_good: bool | None
    found: str
    remedy: str = ""


def doctor(*, reporting: ReportChoice) -> None:
    """Check the machine, the packages, the weights and the browser; say what to do about what is missing.

    The exit code is 2 if something that is needed is missing.

    python -m sam2nb doctor
    """
    from sam2nb.cli.report import Event

    failed = False
    with reporting.open("doctor") as report:
        for check in examine():
            mark = {True: "good", False: "BAD", None: "-"}[check.is_good]
            remedy = f"\n{'':29}-> {check.remedy}" if check.remedy and not check.is_good else ""
            report.tell([Event(f"{mark:5} {check.name:22} {check.found}{remedy}", check._asdict())])
            failed = failed or check.is_good is False
        report.tell([Event("something is missing: see the arrows" if failed else "sam2nb can be used on this machine")])
    if failed:
        raise typer.Exit(2)


def examine() -> Iterator[Check]:
    """Run all checks, the quick ones first. A check that fails in an unexpected way is itself bad."""
    for part in (_machine, _packages, _weights, _browser, _trial):
        try:
            yield from part()
        except Exception as error:  # a doctor reports whatever is wrong
            yield Check(part.__name__.strip("_"), False, f"{type(error).__name__}: {error}", "repair this first")


def _machine() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", sys.version_info >= OLDEST_PYTHON, version, "install Python 3.10 or newer")
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    yield Check("memory", memory >= MEMORY_GB, f"{memory:.0f} GB, {os.cpu_count()} processors", "close other programs")
    folder = _nearest_folder(_checkpoint_folder())
    free = shutil.disk_usage(folder).free / 1e9
    yield Check("disk", free >= FREE_GB or None, f"{free:.0f} GB free at {folder}", f"free {FREE_GB} GB for downloads")


def _packages() -> Iterator[Check]:
    install = f"{Path(sys.executable).name} -m pip install"
    try:
        needed = [line.split(";")[0] for line in metadata.requires(REQUIRED) or [] if "extra ==" not in line]
    except metadata.PackageNotFoundError:
        needed = []
        yield Check("sam2nb", None, "not installed, run from its folder", f"{install} -e .")
    from packaging.requirements import Requirement

    for requirement in map(Requirement, needed):
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Check(requirement.name, False, "missing", f'{install} "{requirement}"')
            continue
        if version not in requirement.specifier:
            yield Check(requirement.name, False, f"{version} is too old", f'{install} --upgrade "{requirement}"')
    yield from _torch()
    for module, (package, use) in OPTIONAL.items():
        is_there = importlib.util.find_spec(module) is not None
        found = metadata.version(package) if is_there else f"not installed; for {use}"
        yield Check(package, is_there or None, found, f"{install} {package}")


def _torch() -> Iterator[Check]:
    import torch

    from sam2nb.devices import pick_device, pick_dtype

    device = pick_device()
    precision = str(pick_dtype(None, device)).removeprefix("torch.")
    fast = str(pick_dtype("auto", device)).removeprefix("torch.")
    faster = "" if fast == precision else f', faster in {fast}: dtype="auto"'
    found = f"{torch.__version__}, computes on {device} in {precision}{faster}"
    remedy = ""
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        remedy = "there is an NVIDIA GPU, but this torch cannot use it: see https://pytorch.org/get-started/locally"
    yield Check("torch", None if remedy else True, found, remedy)


def _weights() -> Iterator[Check]:
    from sam2nb.weights.files import read_state_file
    from sam2nb.weights.registry import CHECKPOINTS, file_on_disk

    download = "python -m sam2nb download"
    for name in CHECKPOINTS:
        file = file_on_disk(name)
        if file is None:
            continue
        base = CHECKPOINTS[name].base
        if base and file_on_disk(base) is None:
            yield Check(name, None, f"builds on {base}, which is not on this machine", f"{download} {base}")
            continue
        try:
            read_state_file(file)
            yield Check(name, True, str(file))
        except (ValueError, OSError) as error:
            yield Check(name, False, str(error), f"delete {file}, then {download} {name}")
    if file_on_disk("sam2nb_nano") is None:
        yield Check("sam2nb_nano", False, "missing", "it comes with sam2nb: install it again")
    if not any(file_on_disk(name) for name in CHECKPOINTS if not name.startswith("sam2nb")):
        yield Check("Meta's weights", None, "none on this machine; better masks", f"{download} sam2.1_hiera_tiny")


def _browser() -> Iterator[Check]:
    try:
        found, is_good = type(webbrowser.get()).__name__, True
    except webbrowser.Error:
        found, is_good = "none found", None
    remedy = "open the address that JupyterLab prints in a browser on your own machine"
    yield Check("browser", is_good, f"{found}; for the notebooks", remedy)
    has_jupyter = importlib.util.find_spec("jupyterlab") is not None
    found = metadata.version("jupyterlab") if has_jupyter else "missing"
    yield Check("JupyterLab", has_jupyter or None, found, "python -m sam2nb lab, or pip install 'sam2nb[lab]'")


def _trial() -> Iterator[Check]:
    """Segment a photograph that comes with sam2nb."""
    from sam2nb import SAM2ImagePredictor, load_model
    from sam2nb.media.images import to_rgb_uint8
    from sam2nb.resources import resource_dir

    photo = to_rgb_uint8(resource_dir("data") / "photos" / "cat.jpg")
    begun = time.monotonic()
    predictor = SAM2ImagePredictor(load_model("sam2nb_nano", device="cpu"))
    predictor.set_image(photo)
    masks, scores, _ = predictor.predict(point_coords=[[220, 120]], point_labels=[1])
    share = float(masks[scores.argmax()].mean())
    found = f"a click on a photograph: {share:.0%} of it in {time.monotonic() - begun:.1f} s"
    yield Check("trial", TRIAL_SHARE[0] < share < TRIAL_SHARE[1], found, "please report this with the lines above")


def _checkpoint_folder() -> Path:
    from sam2nb.weights.registry import checkpoint_folder

    return checkpoint_folder()


def _nearest_folder(path: Path) -> Path:
    """The path, or the folder around it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
