"""Propagation of an annotated video, here or on a thread, that can be stopped after any frame."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sam2nb.widgets.still import first_line
from sam2nb.widgets.video_annotation import VideoAnnotation

logger = logging.getLogger(__name__)


class Propagation:
    """Runs the propagation of an annotation.

    tell: called with each frame that was tracked, on the thread that tracks. finish: called at the end with a line
    that says how it ended.
    """

    def __init__(self, annotation: VideoAnnotation, tell: Callable[[int], None], finish: Callable[[str], None]) -> None:
        self.annotation, self.tell, self.finish = annotation, tell, finish
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether a thread propagates."""
        return self._thread is not None and self._thread.is_alive()

    def run(self, direction: str, start: int | None = None, max_frames: int | None = None) -> int:
        """Propagate, and return the number of frames that were tracked; raises what `VideoAnnotation.propagate` does.

        Raises RuntimeError while a thread propagates.
        """
        if self.is_running:
            raise RuntimeError("propagation is running: call stop() first")
        self._stopped.clear()
        return self._run(direction, start, max_frames)

    def begin(self, direction: str) -> None:
        """Propagate on a thread. Raises RuntimeError while one does."""
        if self.is_running:
            raise RuntimeError("propagation is running: stop it first")
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run_or_log, args=(direction,), daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Stop after the frame that is worked on."""
        self._stopped.set()

    def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run_or_log(self, direction: str) -> None:
        try:
            self._run(direction)
        except Exception:  # an exception on a thread would be lost; the last line says it
            logger.debug("propagation failed", exc_info=True)

    def _run(self, direction: str, start: int | None = None, max_frames: int | None = None) -> int:
        count, last, line = 0, None, ""
        try:
            for frame in self.annotation.propagate(direction, start, max_frames, self._stopped.is_set):
                count, last = count + 1, frame
                self.tell(frame)
            line = self._last_line(count, last)
        except BaseException as problem:
            line = f"{first_line(problem)} \u2013 the masks so far and all prompts stay."
            raise
        finally:
            self.finish(line)
        return count

    def _last_line(self, count: int, last: int | None) -> str:
        if self.annotation.left and last is not None:
            return f"Paused at frame {last}. Correct what is wrong, and propagate to go on."
        if self.annotation.problem:
            return f"{self.annotation.problem}; {count} frames were tracked."
        return f"{count} frames were tracked." if count else "There is no frame to track in this direction."
