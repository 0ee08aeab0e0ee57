"""What every notebook needs: one line to start, and helpers to look, to read code and to practise.

    from sam2nb.notebook import check, describe, setup, show_source
    lab = setup(seed=0)
    predictor = SAM2ImagePredictor(lab.load())

`setup` changes nothing global but the random seeds and how figures are stored: JPEG for photographs, PNG for charts.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import random
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from sam2nb import plotting
from sam2nb.build import build_sam2, load_model, pick_device, pick_dtype
from sam2nb.resources import resource_dir
from sam2nb.weights.registry import best_on_disk

if TYPE_CHECKING:
    from sam2nb.model.sam2 import SAM2

IMAGE_WEIGHTS = "sam2_hiera_tiny"  # the genuine checkpoint whose image path every package registry can deliver
OWN_WEIGHTS = "sam2nb_nano"  # committed with the project, needs no network
RANDOM_CAPTION = "RANDOM WEIGHTS: this picture shows no skill"


# --- starting a notebook ----------------------------------------------------------------------------------------------


@dataclass
class Lab:
    """The place a notebook works in: which device, which precision, which weights.

    device: where models run. dtype: what predictors compute in. seed: what the random generators started from.
    weights: after load(), the name of the checkpoint in use, or "RANDOM".
    """

    device: torch.device
    dtype: torch.dtype
    seed: int
    weights: str | None = None
    _gone: set[str] = field(default_factory=set, repr=False)

    def load(self, name: str | None = None, *, video: bool = False, image_size: int | None = None) -> SAM2:
        """Load a model with the best weights at hand and say which in one line.

        name: a checkpoint, or None for the first that works: the genuine SAM 2 hiera-tiny, our own nano, random
        weights (labelled so here and in every figure). video: only weights that can also track, so nano comes first
        unless an official checkpoint lies on disk. image_size: side of the model's input, default as trained.
        """
        if name is not None:
            return self._load(name, image_size)
        for candidate in self._candidates(video):
            try:
                return self._load(candidate, image_size)
            except (OSError, ValueError, RuntimeError, KeyError) as problem:
                self._gone.add(candidate)
                print(f"{candidate} is not available here ({_first_line(problem)}).")
        return self._load_random(image_size)

    def photo(self, name: str) -> np.ndarray:
        """A photograph of the project's own set as HxWx3 uint8; see photo_names() and data/README.md."""
        return photo(name)

    def _candidates(self, video: bool) -> list[str]:
        order = [IMAGE_WEIGHTS, OWN_WEIGHTS]
        if video:
            best = best_on_disk(video=True)
            order = [OWN_WEIGHTS] if best is None else [best.name, OWN_WEIGHTS]
        return [name for name in order if name not in self._gone]

    def _load(self, name: str, image_size: int | None) -> SAM2:
        log = logging.getLogger("sam2nb.weights.checkpoint")
        level = log.level
        log.setLevel(logging.ERROR)  # what it warns about stands in the line printed here
        try:
            model = load_model(name, device=self.device, dtype=self.dtype, image_size=image_size)
        finally:
            log.setLevel(level)
        self.weights = name
        plotting.set_caption(None)
        scope = " (image path only: photographs yes, tracking no)" if model.missing_parts else ""
        print(f"weights: {name}{scope}")
        return model

    def _load_random(self, image_size: int | None) -> SAM2:
        torch.manual_seed(self.seed)
        overrides = [] if image_size is None else [f"++model.image_size={image_size}"]
        model = build_sam2("sam2_hiera_t", device=self.device, hydra_overrides_extra=overrides)
        model.compute_dtype = self.dtype
        self.weights = "RANDOM"
        plotting.set_caption(RANDOM_CAPTION)
        print(
            "weights: RANDOM. No checkpoint is here and none could be fetched. The code runs, the masks mean nothing."
        )
        return model


def setup(seed: int = 0, quiet: bool = False) -> Lab:
    """Prepare a notebook: seeds, figure formats, device and precision. Prints one line unless `quiet`."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    _store_small_figures()
    _honour_tqdm_disable()
    _allow_widgets_in_colab()
    device = pick_device()
    dtype = pick_dtype("auto", device)
    if not quiet:
        print(f"device {device}, precision {str(dtype).removeprefix('torch.')}, seed {seed}")
    return Lab(device=device, dtype=dtype, seed=seed)


# --- data -------------------------------------------------------------------------------------------------------------


def data_dir() -> Path:
    """The folder with the sample pictures: $SAM2NB_DATA, else the one that travels with the package."""
    return Path(os.environ["SAM2NB_DATA"]) if os.environ.get("SAM2NB_DATA") else resource_dir("data")


def photo_names() -> list[str]:
    """The names that photo() knows."""
    return sorted(path.stem for path in (data_dir() / "photos").glob("*.jpg"))


def photo(name: str) -> np.ndarray:
    """A photograph of the project's own set as HxWx3 uint8, for example photo("coffee")."""
    path = data_dir() / "photos" / f"{name}.jpg"
    if not path.is_file():
        raise ValueError(f"name must be one of {', '.join(photo_names())}; got {name!r}")
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def photo_mask(name: str) -> np.ndarray:
    """A reference mask (H, W) bool that belongs to a photograph, for example photo_mask("coffee_cup")."""
    return photo_labels(name) > 0


def photo_labels(name: str) -> np.ndarray:
    """A reference label map (H, W) uint8: 0 background, 1, 2, ... one value per object, for example "coins"."""
    folder = data_dir() / "photos" / "masks"
    path = folder / f"{name}.png"
    if not path.is_file():
        raise ValueError(f"name must be one of {', '.join(sorted(p.stem for p in folder.glob('*.png')))}; got {name!r}")
    with Image.open(path) as picture:
        return np.asarray(picture).astype(np.uint8)


# --- looking ----------------------------------------------------------------------------------------------------------


def describe(thing: Any, name: str = "") -> None:
    """Print what something is: the boxes of a model with their parameters, or the shapes inside arrays and records."""
    for line in _description(thing, name):
        print(line)


def show_source(thing: Any, docstring: bool = True) -> None:
    """Show the real code of a function, class or module from the package. docstring=False leaves the docstring out."""
    code = textwrap.dedent(inspect.getsource(thing))
    if not docstring:
        code = _without_docstring(code)
    module = inspect.getmodule(thing)
    where = f"# {module.__name__.replace('.', '/')}.py\n" if module else ""
    if not _in_notebook():
        print(where + code)
        return
    from IPython.display import Markdown, display

    display(Markdown(f"```python\n{where}{code}```"))


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str]) -> None:
    """Show rows as a table: Markdown in a notebook, aligned text elsewhere. Numbers are right-aligned."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not _in_notebook():
        widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
        for row in [list(headers), *cells]:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        return
    from IPython.display import Markdown, display

    numeric = [all(_looks_numeric(row[i]) for row in cells) for i in range(len(headers))]
    ruler = ["---:" if right else ":---" for right in numeric]
    lines = ["| " + " | ".join(row) + " |" for row in [list(headers), ruler, *cells]]
    display(Markdown("\n".join(lines)))


def progress(things: Iterable[Any], title: str, total: int | None = None) -> Iterable[Any]:
    """Go through `things` with a progress bar that goes away when done; TQDM_DISABLE=1 turns all bars off."""
    return tqdm(things, desc=title, total=total, leave=False)


# --- practising -------------------------------------------------------------------------------------------------------


class NotAttempted(Exception):
    """Raised by a checker when the answer is still the stub."""


Checker = Callable[..., str | None]
_CHECKERS: dict[str, Checker] = {}


def exercise(name: str) -> Callable[[Checker], Checker]:
    """Register a checker for an exercise. It returns None when the answer is right, else one sentence: what differs.

    Checkers of notebook NN live in sam2nb/notebook/exercises/nbNN.py and are named "NN.something".
    """

    def register(checker: Checker) -> Checker:
        _CHECKERS[name] = checker
        return checker

    return register


def attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a learner's function inside a checker; a result that is still `...` or None counts as not attempted."""
    result = function(*args, **kwargs)
    if result is ... or result is None:
        raise NotAttempted
    return result


def check(name: str, answer: Any, **given: Any) -> None:
    """Say whether an exercise is solved: `not attempted`, `correct`, or what differs. Never raises on a wrong answer.

    given: what the checker needs from the notebook, as the exercise says.
    """
    checker = _checker(name)
    print(f"{name}: {_verdict(checker, answer, given)}")


def _checker(name: str) -> Checker:
    if name not in _CHECKERS:
        module = f"sam2nb.notebook.exercises.nb{name.split('.')[0]}"
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    if name not in _CHECKERS:
        raise ValueError(
            f"name must be a known exercise, got {name!r}; known: {', '.join(sorted(_CHECKERS)) or 'none'}"
        )
    return _CHECKERS[name]


def _verdict(checker: Checker, answer: Any, given: dict[str, Any]) -> str:
    if answer is ... or answer is None:
        return "not attempted"
    try:
        difference = checker(answer, **given)
    except NotAttempted:
        return "not attempted"
    except Exception as problem:  # a learner's code may raise anything; it is an answer, not a failure of the page
        return f"your answer raised {type(problem).__name__}: {_first_line(problem)}"
    return "correct" if difference is None else difference


# --- inside -----------------------------------------------------------------------------------------------------------


def _description(thing: Any, name: str) -> list[str]:
    head = f"{name}: " if name else ""
    if isinstance(thing, torch.nn.Module):
        return _module_description(thing, head)
    if isinstance(thing, torch.Tensor):
        kind = str(thing.dtype).removeprefix("torch.")
        return [f"{head}tensor {tuple(thing.shape)} {kind}{_range(thing.detach().float().cpu().numpy())}"]
    if isinstance(thing, np.ndarray):
        return [f"{head}array {thing.shape} {thing.dtype}{_range(thing)}"]
    if is_dataclass(thing) and not isinstance(thing, type):
        lines = [f"{head}{type(thing).__name__}"]
        for entry in fields(thing):
            lines += ["  " + line for line in _description(getattr(thing, entry.name), entry.name)]
        return lines
    if isinstance(thing, (list, tuple)) and thing:
        kind = type(thing).__name__
        lines = [f"{head}{kind} of {len(thing)}"]
        names = getattr(thing, "_fields", [str(i) for i in range(len(thing))])
        for label, value in zip(names, thing, strict=True):
            lines += ["  " + line for line in _description(value, label)]
        return lines
    return [f"{head}{thing!r}"]


def _module_description(module: torch.nn.Module, head: str) -> list[str]:
    total = sum(p.numel() for p in module.parameters())
    lines = [f"{head}{type(module).__name__}: {total:,} parameters"]
    for label, child in module.named_children():
        count = sum(p.numel() for p in child.parameters())
        lines.append(f"  {label:<24}{type(child).__name__:<22}{count:>12,}")
    own = sum(p.numel() for p in module.parameters(recurse=False))
    if own and len(lines) > 1:
        lines.append(f"  {'(its own)':<24}{'Parameter':<22}{own:>12,}")
    return lines


def _range(values: np.ndarray) -> str:
    if values.size == 0 or values.dtype.kind not in "biuf":
        return ""
    if values.dtype == bool:
        return f", {values.mean():.1%} True"
    return f", {values.min():.3g} to {values.max():.3g}"


def _without_docstring(code: str) -> str:
    import ast

    tree = ast.parse(code)
    node = tree.body[0]
    body = getattr(node, "body", [])
    if len(body) < 2 or ast.get_docstring(node) is None:
        return code
    lines = code.splitlines(keepends=True)
    return "".join(lines[: body[0].lineno - 1] + lines[body[0].end_lineno :]).replace(":\n\n", ":\n", 1)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _looks_numeric(text: str) -> bool:
    return text == "-" or text.lstrip("-+").replace(",", "").replace(".", "", 1).rstrip("%xM ").isdigit()


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def _store_small_figures() -> None:
    """Figures leave the kernel as JPEG where they show photographs and as PNG where they are charts."""
    if not _in_notebook():
        return
    from matplotlib.figure import Figure

    shell = sys.modules["IPython"].get_ipython()
    shell.run_line_magic("matplotlib", "inline")
    formatters = shell.display_formatter.formatters
    formatters["image/png"].for_type(Figure, lambda figure: plotting.notebook_bytes(figure, "png"))
    formatters["image/jpeg"].for_type(Figure, lambda figure: plotting.notebook_bytes(figure, "jpeg"))


def _honour_tqdm_disable() -> None:
    """TQDM_DISABLE=1 turns off text bars, but not the notebook's; stored outputs must not hold either."""
    if not os.environ.get("TQDM_DISABLE") or getattr(tqdm.__init__, "always_off", False):
        return
    original = tqdm.__init__

    def always_off(self: tqdm, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **{**kwargs, "disable": True})

    always_off.always_off = True
    tqdm.__init__ = always_off


def _allow_widgets_in_colab() -> None:
    try:
        from google.colab import output
    except ImportError:
        return
    output.enable_custom_widget_manager()
