"""A video while a person annotates it: changing prompts, locked frames, propagation that can stop.

Whatever is done is noted as a step, so that a script can do it again. Prompts that nobody has propagated yet are taken
back without a trace; later ones are cleared, and the object is prompted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.prompts import read_points
from sam2nb.predict.video.session import ObjectId, ObjectTrack, VideoSession
from sam2nb.widgets.turns import turns_of
from sam2nb.widgets.video_objects import NO_CLICKS, Clicks, VideoObject, numbers_of, objects_in
from sam2nb.widgets.video_steps import Cleared, Locked, Prompted, Propagated, Settled, Step, joined_step

Place = tuple[int, int]  # the number of an object, and a frame
WAYS = {"both": (False, True), "forward": (False,), "backward": (True,)}  # by name, whether each runs in reverse
FRAME_STATE = ("prompts", "pending", "closer", "facts")  # of a track: all that a prompt on a frame changes


@dataclass(frozen=True)
class Before:
    """How a track was on a frame before a prompt. step: of the prompt."""

    clicks: Clicks
    step: Prompted
    state: dict[str, Any]


@dataclass
class VideoAnnotation:
    """The objects of a session as a person prompts them. `steps` holds what happened, in order.

    ids: of the objects in the session, by number. count: of the frames that can be read. problem: why the video ends
    before it should, or an empty text. left: frames that propagation has still to pass, for each direction.
    """

    predictor: SAM2VideoPredictor
    session: VideoSession
    ids: dict[int, ObjectId] = field(init=False)
    steps: list[Step] = field(default_factory=list)
    locked: set[int] = field(default_factory=set)
    left: list[tuple[bool, Sequence[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = numbers_of(self.session.objects)
        self.count, self.problem = self.session.num_frames, ""
        self.turns = turns_of(self.predictor.model)
        self.first_objects = objects_in(self.session, self.ids)
        self._applied = {(o.number, frame): clicks for o in self.first_objects for frame, clicks in o.frames.items()}
        self._before: dict[Place, list[Before]] = {}  # what can be taken back
        self._removed: dict[int, tuple[ObjectTrack, dict[Place, Clicks]]] = {}  # until the next propagation
        tracks = self.session.objects.values()
        self.locked |= {f for track in tracks for f in track.bank.prompted if f not in track.prompts}

    @property
    def opens(self) -> bool:
        """Whether the session had no objects at first."""
        return not self.first_objects

    # --- prompts ------------------------------------------------------------------------------------------------------

    def differs(self, objects: Sequence[VideoObject]) -> bool:
        """Whether the prompts of these objects are others than those that were taken over."""
        wanted = {(one.number, frame): clicks for one in objects for frame, clicks in one.frames.items()}
        return wanted != self._applied

    def apply(self, objects: Sequence[VideoObject]) -> set[int]:
        """Take over all prompts as they are now. -> the frames whose masks changed

        The caller has a turn at the model. Raises what the predictor raises, after all other prompts were taken over;
        a prompt that failed is tried again the next time.
        """
        wanted = {(one.number, frame): clicks for one in objects for frame, clicks in one.frames.items()}
        frames = self._remove_and_return({one.number for one in objects}, wanted)
        problem = None
        for place in sorted({*wanted, *self._applied}):
            clicks = wanted.get(place, NO_CLICKS)
            if clicks == self._applied.get(place, NO_CLICKS):
                continue
            frames.add(place[1])
            try:
                self._change(place, clicks)
            except Exception as error:
                problem = problem or error
        for one in objects:
            if one.number in self.ids and self.ids[one.number] in self.session.objects:
                self.session.objects[self.ids[one.number]].name = one.class_name
        if problem is not None:
            raise problem
        return frames

    def _remove_and_return(self, numbers: set[int], wanted: dict[Place, Clicks]) -> set[int]:
        """Take out objects that have no prompts any more; take back those whose prompts have returned. -> frames"""
        frames: set[int] = set()
        for number, obj_id in self.ids.items():
            lost_all = _of(number, self._applied) and not _of(number, wanted)
            if obj_id in self.session.objects and (number not in numbers or lost_all):
                frames |= self._remove(number)
        for number in [number for number in self._removed if _of(number, wanted)]:
            if self._removed[number][1] == _of(number, wanted):
                frames |= self._return(number)
            else:
                self._forget(number)
        return frames

    def _change(self, place: Place, clicks: Clicks) -> None:
        """Give an object other prompts on a frame."""
        earlier = self._before.get(place, [])
        for depth, before in enumerate(earlier):
            if before.clicks == clicks:
                self._take_back(place, depth)
                return
        if not clicks.grew_from(self._applied.get(place, NO_CLICKS)):
            if earlier:
                self._take_back(place, 0)
            if place in self._applied:
                self._clear(place)
        if not clicks.is_empty:
            self._prompt(place, clicks)

    def _prompt(self, place: Place, clicks: Clicks) -> None:
        number, frame = place
        obj_id = self.ids.setdefault(number, self._free_id(number))
        track = self.session.objects.get(obj_id, ObjectTrack())
        step = Prompted(number, frame, clicks)
        state = {name: getattr(track, name).get(frame) for name in FRAME_STATE}
        given = {"points": None, "labels": None, "box": None, **clicks.arguments}
        prompt = read_points(self.session, **given, normalize_coords=True)
        self.predictor.tracker.prompt(self.session, frame, obj_id, prompt)
        before = Before(self._applied.get(place, NO_CLICKS), step, state)
        self._before.setdefault(place, []).append(before)
        self._applied[place] = clicks
        self.steps.append(step)

    def _take_back(self, place: Place, depth: int) -> None:
        """Undo the prompts on a frame from the one of this depth on, as if they had not been given."""
        number, frame = place
        undone = self._before[place][depth:]
        del self._before[place][depth:]
        track = self.session.objects[self.ids[number]]
        for name, value in undone[0].state.items():
            kept = getattr(track, name)
            kept.pop(frame, None)
            if value is not None:
                kept[frame] = value
        gone = {id(before.step) for before in undone}
        self.steps = [step for step in self.steps if id(step) not in gone]
        self._note(place, undone[0].clicks)

    def _clear(self, place: Place) -> None:
        """Remove prompts from which masks were propagated already."""
        number, frame = place
        self.session.objects[self.ids[number]].clear_prompts(frame)
        self.steps.append(Cleared(number, frame))
        self._note(place, NO_CLICKS)

    def _note(self, place: Place, clicks: Clicks) -> None:
        """Keep in mind which prompts an object has now."""
        self._applied[place] = clicks
        if clicks.is_empty:
            del self._applied[place]

    def _free_id(self, number: int) -> ObjectId:
        """An id that no object of the session has."""
        taken = set(self.session.obj_ids) | set(self.ids.values())
        return number if number not in taken else max(i for i in taken if isinstance(i, int)) + 1

    def _remove(self, number: int) -> set[int]:
        """Take an object out of the session; it can return until the next propagation. -> its frames"""
        track = self.session.objects.pop(self.ids[number])
        applied = _of(number, self._applied)
        for place in applied:
            del self._applied[place]
        self._removed[number] = track, applied
        return _frames_of(track)

    def _return(self, number: int) -> set[int]:
        """Take an object back, as it was when it was removed. -> its frames"""
        track, applied = self._removed.pop(number)
        self.session.objects[self.ids[number]] = track
        self._applied.update(applied)
        return _frames_of(track)

    def _forget(self, number: int) -> None:
        """Drop a removed object for good, and what was noted about it."""
        del self._removed[number]
        self.steps = [step for step in self.steps if getattr(step, "number", None) != number]
        for place in _of(number, self._before):
            del self._before[place]

    # --- locks --------------------------------------------------------------------------------------------------------

    def lock(self, frames: set[int]) -> set[int]:
        """Lock exactly these frames: their masks stay, and all other frames attend to them. -> the frames that changed

        The caller has a turn at the model.
        """
        changed = frames ^ self.locked
        for frame in sorted(changed):
            for track in self.session.objects.values():
                (track.lock if frame in frames else track.release)(frame)
            self.steps.append(Locked(frame, frame in frames))
        self.locked = set(frames)
        return changed

    # --- propagation --------------------------------------------------------------------------------------------------

    def propagate(
        self,
        direction: str = "both",
        start: int | None = None,
        max_frames: int | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[int]:
        """Track through the video, and yield each frame that was tracked; takes a turn at the model for each.

        direction: both, forward or backward. start: by default where a prompt is new, else where it stopped, else the
        first prompted frame. max_frames: after the first, in each direction. is_stopped: asked before each frame. Who
        stops, or stops iterating, goes on later from there. Raises RuntimeError without prompts, ValueError for
        another direction or a start outside the video, and what the model raises.
        """
        if direction not in WAYS:
            raise ValueError(f"direction must be one of {', '.join(WAYS)}, got {direction!r}")
        with self.turns.turn():
            self.left = self._frames_to_track(WAYS[direction], start, max_frames)
            if is_stopped():
                return
            self._settle()
        while self.left:
            reverse, frames = self.left[0]
            if not frames:
                self.left.pop(0)
                continue
            with self.turns.turn():
                if is_stopped():
                    return
                try:
                    self.predictor.tracker.track(self.session, frames[0], reverse)
                except VideoEndedEarly as end:
                    self.count, self.problem = end.index, str(end)
                    self.left.pop(0)
                    continue
                self.left[0] = reverse, frames[1:]
                self._note_tracked(frames[0], reverse)
            yield frames[0]

    def _frames_to_track(
        self, ways: Sequence[bool], start: int | None, max_frames: int | None
    ) -> list[tuple[bool, Sequence[int]]]:
        """For each direction the frames to pass."""
        self.session.check_prompts()
        new = [frame for track in self.session.objects.values() for frame in track.pending]
        left = [(reverse, frames) for reverse, frames in self.left if frames and reverse in ways]
        if start is None and not new and left:
            return left
        if start is not None or not new:
            begins = dict.fromkeys(ways, start)
        else:
            stopped = {reverse: frames[0] for reverse, frames in left}
            begins = {r: (max if r else min)(min(new), stopped.get(r, min(new))) for r in ways}
        planned = {r: self.session.frames_to_track(begin, max_frames, r) for r, begin in begins.items()}
        return [(r, [frame for frame in frames if frame < self.count]) for r, frames in planned.items()]

    def _settle(self) -> None:
        """Memorize new prompts; from now on they are not taken back, but cleared."""
        is_new = any(track.pending for track in self.session.objects.values())
        self.predictor.tracker.settle(self.session)
        self._before.clear()
        if is_new:
            self.steps.append(Settled())
        for number in list(self._removed):
            self._forget(number)

    def _note_tracked(self, frame: int, reverse: bool) -> None:
        """Note a frame that was tracked: as one step with those before it, where propagation went on."""
        if self.steps and isinstance(self.steps[-1], Settled):
            del self.steps[-1]  # propagation does that itself
        step = Propagated(frame, frame, reverse)
        joined = joined_step(self.steps[-1] if self.steps else None, step)
        self.steps[-1 if joined else len(self.steps) :] = [joined or step]


def _of(number: int, by_place: dict[Place, Any]) -> dict[Place, Any]:
    """The entries of one object."""
    return {place: value for place, value in by_place.items() if place[0] == number}


def _frames_of(track: ObjectTrack) -> set[int]:
    """The frames on which an object has a prediction."""
    return {*track.pending, *track.bank.prompted, *track.bank.tracked}
