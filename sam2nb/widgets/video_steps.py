"""The steps of an annotated video, in their order, and the script that takes them again, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sam2nb.predict.video.session import ObjectId
from sam2nb.widgets.video_objects import Clicks, VideoObject, distinct_names


class Prompted(NamedTuple):
    """All prompts for an object on a frame were given. number: of the object."""

    number: int
    frame: int
    clicks: Clicks


class Cleared(NamedTuple):
    """The prompts for an object on a frame were removed, after masks had been propagated from them."""

    number: int
    frame: int


class Locked(NamedTuple):
    """The masks on a frame were locked, or released again."""

    frame: int
    is_locked: bool


class Propagated(NamedTuple):
    """Masks were propagated from the frame `first` to the frame `last`, both included."""

    first: int
    last: int
    reverse: bool


class Settled(NamedTuple):
    """Prompted frames were memorized, and propagation stopped before its first frame."""


Step = Prompted | Cleared | Locked | Propagated | Settled


def script_of_steps(
    steps: Sequence[Step],
    objects: Sequence[VideoObject],
    ids: dict[int, ObjectId],
    *,
    opens: bool,
    video: str,
    predictor: str,
) -> str:
    """Python code that leaves the masks of these objects in `masks`, by frame and name.

    ids: of the objects in the session, by number. opens: the script opens
    the video; else it goes on with a `session` that had objects before. video, predictor: how these are called in the
    program.
    """
    kept = {number: obj_id for number, obj_id in ids.items() if number in {one.number for one in objects}}
    lines = ["from sam2nb.widgets.video_masks import VideoMasks", ""]
    if opens:
        lines += [f"session = {predictor}.init_state({video})  # {predictor}: a SAM2VideoPredictor"]
    else:
        lines += ["# session: as it was when the widget got it"]
    lines += _calls(steps, kept, predictor, has_objects=not opens)
    labels = {one.number: one.class_name for one in objects if one.number in kept and one.class_name}
    lines += [f"session.objects[{kept[number]!r}].name = {label!r}" for number, label in labels.items()]
    names = distinct_names(objects)
    found = {obj_id: names[number] for number, obj_id in kept.items()}
    return "\n".join([*lines, f"masks = VideoMasks({predictor}, session, {found!r})"])


def _calls(steps: Iterable[Step], ids: dict[int, ObjectId], predictor: str, has_objects: bool) -> Iterator[str]:
    """The calls of the steps; those of objects that were removed are left out."""
    for step in steps:
        if isinstance(step, (Prompted, Cleared)) and step.number not in ids:
            continue
        if isinstance(step, Prompted):
            has_objects = True
            given = ", ".join(f"{name}={value}" for name, value in step.clicks.arguments.items())
            where = f"session, {step.frame}, {ids[step.number]!r}"
            yield f"{predictor}.add_new_points_or_box({where}, {given})"
        elif isinstance(step, Cleared):
            where = f"session, {step.frame}, {ids[step.number]!r}"
            yield f"{predictor}.clear_all_prompts_in_frame({where}, need_output=False)"
        elif isinstance(step, Locked):
            yield "for track in session.objects.values():"
            yield f"    track.{'lock' if step.is_locked else 'release'}({step.frame})"
        elif has_objects and isinstance(step, Settled):
            yield f"{predictor}.tracker.settle(session)"
        elif has_objects:
            first = max(step.first, 1) if step.reverse else step.first  # nothing is propagated backwards from frame 0
            back = ", reverse=True" if step.reverse else ""
            yield f"for _ in {predictor}.propagate_in_video(session, {first}, {abs(step.last - first)}{back}):"
            yield "    pass"


def joined_step(before: Step | None, step: Propagated) -> Propagated | None:
    """One step of two where propagation went on exactly where it had stopped, else None."""
    direction = -1 if step.reverse else 1
    goes_on = (
        isinstance(before, Propagated) and before.reverse == step.reverse and before.last + direction == step.first
    )
    return before._replace(last=step.last) if goes_on else None
