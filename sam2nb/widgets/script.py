"""The script that gives the masks of a PromptWidget again, as text."""

from __future__ import annotations

from collections.abc import Sequence

from sam2nb.widgets.objects import CLOSER, ObjectPrompts


def script_of(
    objects: Sequence[ObjectPrompts], chosen: Sequence[int], image: str, predictor: str, is_function: bool
) -> str:
    """Python code that leaves the masks of these objects in `masks`, (N, H, W) bool.

    chosen: of each object, which of its masks is meant. image, predictor: how these are called in the program.
    is_function: the predictor is a function of (points, labels, box).
    """
    if not objects:
        return "# There is no prompt yet: click on an object, then ask again."
    lines = ["from copy import copy", ""] if any(isinstance(prompts.look, tuple) for prompts in objects) else []
    lines += ["import numpy as np", ""]
    lines += ["from sam2nb.widgets.objects import paint", ""] if any(prompts.strokes for prompts in objects) else []
    if not is_function:
        lines += [f"{predictor}.set_image({image})  # {predictor}: a SAM2ImagePredictor, {image}: an array (H, W, 3)"]
    lines += ["masks = []"]
    for prompts, choice in zip(objects, chosen, strict=True):
        lines += ["", f"# {' '.join(prompts.name.split())}"]
        lines += _calls(prompts, choice, image, predictor, is_function)
        if prompts.strokes:
            strokes = [tuple(stroke) for stroke in prompts.strokes]
            lines += [f"mask = paint(mask, {strokes!r})"]
        lines += ["masks.append(mask)"]
    return "\n".join([*lines, "", "masks = np.stack(masks)"])


def _calls(prompts: ObjectPrompts, choice: int, image: str, predictor: str, is_function: bool) -> list[str]:
    prompts = prompts.seen
    if not prompts.asks:
        return [f"mask = np.zeros(np.shape({image})[:2], bool)"]
    if is_function:
        return _call_of_function(prompts, predictor)
    if not isinstance(prompts.look, tuple):
        return [*_predict(prompts, predictor, (0, 0)), f"mask = answer.masks[{choice}]"]
    x0, y0, x1, y1 = prompts.look
    return [
        f"part = copy({predictor})",
        f"part.set_image({image}[{y0}:{y1}, {x0}:{x1}])",
        *_predict(prompts, "part", (x0, y0)),
        f"mask = np.zeros({image}.shape[:2], bool)",
        f"mask[{y0}:{y1}, {x0}:{x1}] = answer.masks[{choice}]",
    ]


def _predict(prompts: ObjectPrompts, predictor: str, origin: tuple[int, int]) -> list[str]:
    """The calls of `predict`: two where the mask chosen for the first click goes into the answer for all prompts."""
    x0, y0 = origin
    points, labels = [[x - x0, y - y0] for x, y, _ in prompts.points], [label for _, _, label in prompts.points]
    closer = ["closer=True"] if prompts.look == CLOSER else []
    lines, arguments = [], []
    if prompts.choice is not None and points and not prompts.is_ambiguous:
        first = ", ".join([f"point_coords={points[:1]}", f"point_labels={labels[:1]}", *closer])
        lines = [f"first = {predictor}.predict({first})"]
        arguments = [f"mask_input=first.logits[{prompts.choice}][None]"]
    if points:
        arguments = [f"point_coords={points}", f"point_labels={labels}", *arguments]
    if prompts.box is not None:
        corners = [value - (x0, y0)[index % 2] for index, value in enumerate(prompts.box)]
        arguments += [f"box={corners}"]
    arguments += [] if prompts.is_ambiguous else ["multimask_output=False"]
    return [*lines, f"answer = {predictor}.predict({', '.join([*arguments, *closer])})"]


def _call_of_function(prompts: ObjectPrompts, function: str) -> list[str]:
    points, labels = [list(p[:2]) for p in prompts.points], [p[2] for p in prompts.points]
    box = "None" if prompts.box is None else f"np.array({list(prompts.box)}, np.float32)"
    return [
        f"points = np.array({points}, np.float32).reshape(-1, 2)",
        f"result = {function}(points, np.array({labels}, np.int32), {box})",
        "mask = np.asarray(result[0] if isinstance(result, tuple) else result) > 0",
    ]
