"""Scene cuts, found frame by frame while a video is tracked (PySceneDetect)."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 256  # pixels, the longer side of the frames that are compared
THRESHOLD = 27.0  # mean change of hue, saturation and brightness, 0 to 255: the library's own


class CutDetector:
    """Find scene cuts in frames that are shown in order, forwards or backwards.

    cuts: numbers of the frames that begin a new shot, as far as frames were shown.
    """

    def __init__(self) -> None:
        self.cuts: set[int] = set()
        self._last: tuple[int, np.ndarray] | None = None

    def show(self, frame: int, rgb: np.ndarray) -> bool:
        """Compare a frame, (H, W, 3) uint8, with the one shown before if they are neighbours. -> a cut between them?"""
        scale = min(SIDE / max(rgb.shape[:2]), 1.0)
        width, height = (max(round(side * scale), 1) for side in (rgb.shape[1], rgb.shape[0]))
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        last, self._last = self._last, (frame, small)
        if last is None or abs(frame - last[0]) != 1 or not _is_cut(last[1], small):
            return False
        self.cuts.add(max(frame, last[0]))
        return True

    def shot_start(self, frame: int, reverse: bool = False) -> int | None:
        """The first frame of the shot that `frame` is in, as tracking sees it; None where no cut is known."""
        if reverse:
            return min((cut - 1 for cut in self.cuts if cut > frame), default=None)
        return max((cut for cut in self.cuts if cut <= frame), default=None)

    def forget_before(self, frame: int) -> None:
        """Drop the cuts of a stream that lie before `frame`."""
        self.cuts = {cut for cut in self.cuts if cut >= frame}


def _is_cut(before: np.ndarray, now: np.ndarray) -> bool:
    from scenedetect import ContentDetector, FrameTimecode  # half a second to import

    detector = ContentDetector(threshold=THRESHOLD, min_scene_len=1)
    return any(detector.process_frame(FrameTimecode(n, fps=1.0), image) for n, image in enumerate((before, now)))
