"""Annotate a video in the notebook: prompt any frame, propagate, correct, go on, export.

    widget = VideoPromptWidget(predictor, "clip.mp4", prompts=[{"frame": 0, "object": "cup", "points": [[330, 100]]}])
    widget                          # on the last line of a cell: shows it
    widget.masks[12]["cup"]         # (H, W) bool, made when it is asked for
    widget.code()                   # the script that gives these masks again

Everything that the mouse does has a method, so that a notebook runs without a person; a sheet of a few frames with
their masks is stored beside the live view, for viewers that cannot run widgets. Propagation that a button starts runs
on a thread: Python answers between and during its frames. Only frames and masks that somebody looks at travel.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from sam2nb import plotting
from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.session import FrameResult, VideoSession
from sam2nb.widgets.answers import note_about
from sam2nb.widgets.base import Answer, ShownWidget
from sam2nb.widgets.bundle import joined
from sam2nb.widgets.objects import clicks, default_name
from sam2nb.widgets.prompt import COLORS, EMPTY, FIRST, VIEW
from sam2nb.widgets.still import first_line
from sam2nb.widgets.video_annotation import VideoAnnotation
from sam2nb.widgets.video_files import check_format, tracks_file, write_tracks
from sam2nb.widgets.video_frames import ShownFrames
from sam2nb.widgets.video_masks import VideoMasks, predicted_frames
from sam2nb.widgets.video_objects import (
    Clicks,
    VideoObject,
    VideoPrompt,
    distinct_names,
    prompts_of,
    video_object,
    with_prompt,
)
from sam2nb.widgets.video_run import Propagation
from sam2nb.widgets.video_sheet import contact_sheet
from sam2nb.widgets.video_steps import script_of_steps

logger = logging.getLogger(__name__)

MODULES = (*VIEW, "runs", "video_store", "video_frames", "player", "timeline", "video_panel", "video_keys")
MODULES += ("video_view", "video_widget")


class VideoPromptWidget(ShownWidget):
    """A video to point at: left click includes, shift or right click excludes, dragging draws a box, on any frame.

    predictor: a SAM2VideoPredictor; several widgets may share one. video: a session of it, or whatever `init_state`
    opens. prompts: the first ones, as dicts of the arguments of `prompt`; "object" has the name. alt: the video in
    words. frame: the number of the frame that is shown first.

    Afterwards `masks[frame][name]` are the masks, `prompts` what was pointed at, `locked` the numbers of frames whose
    masks stay, `session` the session. An exception of the model is shown below the video, but raised by the methods
    and for the first prompts. Raises TypeError for another predictor, ValueError for prompts that make no sense.
    """

    _esm = joined(*MODULES)

    colors = traitlets.Dict(COLORS).tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int().tag(sync=True)  # of the frames
    fps = traitlets.Float().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)  # that is shown
    objects = traitlets.List().tag(sync=True)  # with their prompts, as the browser keeps them
    selected = traitlets.Int(FIRST).tag(sync=True)
    locked = traitlets.List(traitlets.Int()).tag(sync=True)
    running = traitlets.Bool(False).tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    script = traitlets.Unicode().tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)  # counts answers to prompts

    def __init__(
        self,
        predictor: SAM2VideoPredictor,
        video: Any,
        prompts: Sequence[dict[str, Any]] = (),
        alt: str = "a video to annotate",
        frame: int = 0,
    ) -> None:
        if not isinstance(predictor, SAM2VideoPredictor):
            raise TypeError(f"predictor must be a SAM2VideoPredictor, got {type(predictor).__name__}")
        self.session = video if isinstance(video, VideoSession) else predictor.init_state(video)
        if self.session.num_frames is None:
            raise ValueError("video is a stream, which has no frames to go back to: open a clip with init_state")
        self._annotation = VideoAnnotation(predictor, self.session)
        self._shown = ShownFrames(self._annotation)
        self._propagation = Propagation(self._annotation, self._tell_tracked, self._finish)
        self._is_method = False  # a method changes the prompts, and takes its own exceptions
        states = [one.to_state() for one in self._annotation.first_objects]
        states = states or [VideoObject(FIRST, default_name(FIRST), 0).to_state()]
        super().__init__(
            self.session.size_hw,
            self._shown.shown_hw,
            count=self._annotation.count,
            fps=self._shown.frames.fps,
            frame=self.session.check_frame(frame, "frame"),
            objects=states,
            selected=states[0]["id"],
            locked=sorted(self._annotation.locked),
            alt=alt,
            note=plotting.get_caption() or note_about(predictor.model),
            status=EMPTY,
        )
        for given in prompts:
            given = dict(given)
            self.prompt(given.pop("frame"), given.pop("object"), **given)
        self.observe(self._take_prompts, names="objects")
        self.observe(self._take_locks, names="locked")

    # --- by method ----------------------------------------------------------------------------------------------------

    @property
    def prompts(self) -> list[VideoPrompt]:
        """All prompts, in the order of their frames."""
        return prompts_of(self._objects)

    @property
    def masks(self) -> VideoMasks:
        """The masks of all objects by frame and name; see `VideoMasks`."""
        names = {self._annotation.ids[number]: name for number, name in distinct_names(self._known).items()}
        return VideoMasks(self._annotation.predictor, self.session, names)

    def prompt(
        self, frame: int, name: str, points: Any | None = None, labels: Any | None = None, box: Any | None = None
    ) -> None:
        """Add clicks, or set the box, of an object on a frame; a new name is a new object.

        points: (N, 2) in pixels of the video. labels: (N,), 1 include and 0 exclude, by default 1. box: x1, y1, x2, y2.
        Raises ValueError for a locked frame, and what the predictor raises.
        """
        frame = self.session.check_frame(frame, "frame")
        if frame in self.locked:
            raise ValueError(f"frame {frame} is locked: take it out of `locked` to change its masks")
        corners = None if box is None else tuple(np.asarray(box, float).reshape(4).tolist())
        given = Clicks(tuple(tuple(click) for click in clicks(points, labels)), corners)
        objects, selected = with_prompt(self._objects, frame, name, given)
        self._is_method = True
        try:
            self.objects, self.selected = [one.to_state() for one in objects], selected
        finally:
            self._is_method = False
        self._apply()

    def propagate(self, direction: str = "both", start: int | None = None, max_frames: int | None = None) -> int:
        """Track all objects and wait for the end; works without a browser. -> the number of frames that were tracked

        direction: both, forward or backward. start: by default the earliest new prompt, else where it stopped.
        max_frames: after the first, in each direction. Raises RuntimeError without prompts, or while a button's
        propagation runs, ValueError for another direction, and what the model raises.
        """
        return self._propagation.run(direction, start, max_frames)

    def stop(self) -> None:
        """Stop the propagation that a button started, after the frame that it works on; the next one goes on there."""
        self._propagation.stop()

    def save(self, name: str, path: str | Path) -> Path:
        """Write all masks. name: coco, yolo, cvat, davis or mp4; yolo and davis write folders. -> the path

        Raises ValueError for another format, or before there is a mask.
        """
        check_format(name)
        return write_tracks(name, path, self._results(), self._shown.frames, self.fps)

    def code(self, video: str = "video", predictor: str = "predictor") -> str:
        """The script that leaves these masks in `masks`. video, predictor: how these are called in your program."""
        if not self._known:
            return "# There is no prompt yet: click on an object, then ask again."
        done, called = self._annotation, {"video": video, "predictor": predictor}
        return script_of_steps(done.steps, self._known, done.ids, opens=done.opens, **called)

    def summary(self) -> str:
        """One line about the widget, for viewers without pictures."""
        return self.status

    def static_picture(self) -> bytes:
        """A few frames with their masks and prompts as a JPEG file, shown where widgets cannot run."""
        return contact_sheet(self._shown.frames, self.masks, self._known, self.frame)

    # --- the browser --------------------------------------------------------------------------------------------------

    @property
    def answers(self) -> dict[str, Callable[[dict[str, Any]], Answer | None]]:
        """The function that answers a request of each kind."""
        shown = {"detail": self._shown.answer_detail, "lanes": self._shown.answer_lanes}
        return {
            **shown,
            "frames": self._frames,
            "begin": self._begin,
            "stop": self._ask_to_stop,
            "export": self._export,
        }

    def _frames(self, content: dict[str, Any]) -> Answer:
        answer = self._shown.answer_frames(content)
        self.count = self._annotation.count  # the video may end early
        return answer

    def _begin(self, content: dict[str, Any]) -> Answer:
        self._propagation.begin(content["direction"])
        return {}, []

    def _ask_to_stop(self, _content: dict[str, Any]) -> Answer:
        self._propagation.ask_to_stop()
        return {}, []

    def _export(self, content: dict[str, Any]) -> None:
        """Write a file on a thread; it is the answer."""
        threading.Thread(target=self._reply, args=(content, self._file), daemon=True).start()

    def _file(self, content: dict[str, Any]) -> Answer:
        form = check_format(content["format"])
        file = tracks_file(content["format"], self._results(), self._shown.frames, self.fps)
        return {"name": form.name, "type": form.kind}, [file]

    def _take_prompts(self, _change: Any) -> None:
        if not self._is_method:
            try:
                self._apply()
            except Exception:  # the status says it; an exception in a callback would be lost
                logger.debug("a prompt failed", exc_info=True)

    def _take_locks(self, _change: Any) -> None:
        with self._annotation.turns.turn():
            self._annotation.lock(set(self.locked))
        self._publish(self.status)

    def _apply(self) -> None:
        """Take over the prompts and show what changed; raises what the model raises. A running propagation stops."""
        objects = self._objects
        if self._annotation.differs(objects):
            self._propagation.ask_to_stop()
        try:
            with self._annotation.turns.turn():
                frames = self._annotation.apply(objects)
        except Exception as problem:
            self._send_all(self._shown.changes(range(self.count)))
            self._publish(first_line(problem))
            raise
        self._send_all(self._shown.changes(frames))
        self._publish(self._line_about(frames) if frames else self.status)

    def _tell_tracked(self, frame: int) -> None:
        self.running = True
        self._send_all(self._shown.changes([frame], with_masks=False))

    def _finish(self, line: str) -> None:
        self.count = self._annotation.count
        self.running = False
        self._publish(line)

    def _send_all(self, messages: Iterable[Answer]) -> None:
        for content, buffers in messages:
            self.send(content, buffers)

    def _publish(self, status: str) -> None:
        with self.hold_sync():
            self.status, self.script, self.revision = status, self.code(), self.revision + 1

    def _line_about(self, frames: set[int]) -> str:
        """The newest prompt in words."""
        if not self.prompts:
            return EMPTY
        frame = max(frames)
        score = self._shown.scores(frame).get(str(self.selected))
        name = distinct_names(self._known).get(self.selected)
        if score is None or name is None:
            return f"The prompts on frame {frame} changed."
        return f"{name}: predicted IoU {score[1]:.2f} on frame {frame}. Propagate to find it on the others."

    # --- objects ------------------------------------------------------------------------------------------------------

    @property
    def _objects(self) -> list[VideoObject]:
        return [video_object(state) for state in self.objects]

    @property
    def _known(self) -> list[VideoObject]:
        """The objects that the session has: those with a prompt."""
        ids = self._annotation.ids
        return [one for one in self._objects if ids.get(one.number) in self.session.objects]

    def _results(self) -> Iterator[FrameResult]:
        """The masks of all frames, one after the other. Raises ValueError if there is none."""
        frames = predicted_frames(self.session)
        if not frames:
            raise ValueError("there is no mask yet: prompt an object first")
        return (self._annotation.predictor.tracker.result(self.session, frame) for frame in frames)
