"""Start a lesson: device, precision, seeds, the best weights at hand, and pictures to work with.

`setup` changes four settings of the whole process: the random seeds, how the kernel stores figures (JPEG for
photographs, PNG for charts), Colab's switch for widgets and, only where TQDM_DISABLE is set, tqdm's progress bars.
`Lab.load` changes one: without any checkpoint, a caption marks every figure as made with random weights.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from sam2nb import plotting
from sam2nb.build import build_sam2, load_model
from sam2nb.devices import pick_device, pick_dtype
from sam2nb.notebook import colab, own
from sam2nb.notebook.samples import photo
from sam2nb.notebook.show import first_line, in_notebook
from sam2nb.weights.registry import best_on_disk, file_on_disk

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2

NEWEST_WEIGHTS = "sam2.1_hiera_tiny"  # wherever the network reaches its publisher
IMAGE_WEIGHTS = "sam2_hiera_tiny"  # the official checkpoint whose image path every package registry can deliver
OWN_WEIGHTS = "sam2nb_nano"  # committed with the project, needs no network
RANDOM_CONFIG, RANDOM_WEIGHTS = "sam2_hiera_t", "RANDOM"
RANDOM_CAPTION = "RANDOM WEIGHTS: the masks in this figure mean nothing"


@dataclass
class Lab:
    """The working environment of a notebook: its device, precision and weights.

    device: where models run. dtype: the precision of the predictors. seed: of the random generators.
    weights: after load(), the name of the checkpoint in use, or "RANDOM".
    """

    device: torch.device
    dtype: torch.dtype
    seed: int
    weights: str | None = None
    _unavailable: set[str] = field(default_factory=set, repr=False)

    def load(self, name: str | None = None, *, video: bool = False, image_size: int | None = None) -> SAM2:
        """Load a model with the best weights at hand and print in one line which they are.

        name: a checkpoint, or None for the first that works: hiera-tiny of SAM 2.1, which is downloaded only if none
        of the two hiera-tiny is on disk, hiera-tiny of SAM 2, our own nano, random weights (labelled so here and in
        every figure). video: an official checkpoint with learned memory comes
        first if one is on disk (the image path of hiera-tiny tracks by matching). image_size: side of the model's
        input, by default as trained.
        With a name, raises what load_model raises; without one, never fails.
        """
        if name is not None:
            return self._load(name, image_size)
        for candidate in self._candidates(video):
            try:
                return self._load(candidate, image_size)
            except (OSError, ValueError, RuntimeError, KeyError) as problem:
                self._unavailable.add(candidate)
                print(f"{candidate} is not available here ({first_line(problem)}).")
        return self._load_random(image_size)

    def photo(self, name: str) -> np.ndarray:
        """One of the project's photographs as HxWx3 uint8; see photo_names() and data/README.md."""
        return photo(name)

    def picture(self, source: Any = None, *, default: Any = "coffee", longest: int | None = own.LONGEST) -> np.ndarray:
        """A picture of your own, or the default: (H, W, 3) uint8, RGB; prints in one line which it is.

        source: a file, an address (https://…), "upload", "webcam", the name of a photograph, an array, or None for
        the default. After an upload or a photo run the cell again; until then, and wherever nobody can choose, the
        default is returned. default: the same kinds. longest: of the sides; a larger picture is shrunk, None keeps it.
        Raises FileNotFoundError for a missing file, ValueError for one that is no picture, OSError if an address does
        not deliver one; without a network the default is returned.
        """
        return own.picture(source, default, longest)

    def clip(
        self, source: Any = None, *, default: Any = "big_buck_bunny", frames: int = own.FRAMES, longest: int = own.SIDE
    ) -> Any:
        """A clip of your own, or the default: the path of a file or folder, or frames, as init_state takes them.

        source and default: as for picture(); names are those of the project's clips, the camera records five seconds.
        frames, longest: a longer or larger file of your own is cut and shrunk into a new one.
        Raises what picture() raises.
        """
        return own.clip(source, default, frames, longest)

    def _candidates(self, video: bool) -> list[str]:
        order = [IMAGE_WEIGHTS, OWN_WEIGHTS]
        if file_on_disk(NEWEST_WEIGHTS) is not None or file_on_disk(IMAGE_WEIGHTS) is None:
            order.insert(0, NEWEST_WEIGHTS)
        best = best_on_disk(video=True) if video else None
        if best is not None and best.name not in order:
            order.insert(0, best.name)
        return [name for name in order if name not in self._unavailable]

    def _load(self, name: str, image_size: int | None) -> SAM2:
        model = load_model(name, device=self.device, dtype=self.dtype, image_size=image_size)
        if model.missing_parts:
            logging.getLogger("sam2nb.predict.video.memory").setLevel(logging.ERROR)  # the line below says it
        self.weights = name
        plotting.set_caption(None)
        scope = " (image path; video: by matching)" if model.missing_parts else ""
        print(f"weights: {name}{scope}")
        return model

    def _load_random(self, image_size: int | None) -> SAM2:
        torch.manual_seed(self.seed)
        overrides = [] if image_size is None else [f"++model.image_size={image_size}"]
        model = build_sam2(RANDOM_CONFIG, device=self.device, hydra_overrides_extra=overrides)
        model.compute_dtype = self.dtype
        self.weights = RANDOM_WEIGHTS
        plotting.set_caption(RANDOM_CAPTION)
        print(
            "weights: RANDOM. There is no checkpoint here and none could be downloaded. The code runs, the masks mean "
            "nothing."
        )
        return model


def setup(seed: int = 0, quiet: bool = False, drive: bool = False) -> Lab:
    """Prepare a notebook: seeds, figure formats, device and precision. Prints one line unless `quiet`.

    drive: in Google Colab, keep checkpoints on Google Drive, so that each is downloaded once.
    """
    if drive:
        colab.keep_checkpoints_on_drive()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    _store_small_figures()
    _honour_tqdm_disable()
    _allow_widgets_in_colab()
    device = pick_device()
    dtype = pick_dtype(None, device)
    if not quiet:
        print(f"device {device}, precision {str(dtype).removeprefix('torch.')}, seed {seed}")
        if colab.is_here() and device.type == "cpu":
            print(colab.GPU_HINT)
    return Lab(device=device, dtype=dtype, seed=seed)


# --- settings of the process ------------------------------------------------------------------------------------------


def _store_small_figures() -> None:
    """Store figures that show photographs as JPEG and charts as PNG."""
    if not in_notebook():
        return
    from matplotlib.figure import Figure

    shell = sys.modules["IPython"].get_ipython()
    shell.run_line_magic("matplotlib", "inline")
    formatters = shell.display_formatter.formatters
    formatters["image/png"].for_type(Figure, lambda figure: plotting.notebook_image(figure, "png"))
    formatters["image/jpeg"].for_type(Figure, lambda figure: plotting.notebook_image(figure, "jpeg"))


def _honour_tqdm_disable() -> None:
    """Turn off every bar of the process where TQDM_DISABLE is set, as it is when notebooks run unattended.

    tqdm itself honours the variable for text bars only, and a bar must not end up in a stored output.
    """
    if not os.environ.get("TQDM_DISABLE") or getattr(tqdm.__init__, "is_silent", False):
        return
    original = tqdm.__init__

    def silent(self: tqdm, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **{**kwargs, "disable": True})

    silent.is_silent = True
    tqdm.__init__ = silent


def _allow_widgets_in_colab() -> None:
    try:
        from google.colab import output
    except ImportError:
        return
    output.enable_custom_widget_manager()
